"""Annotated people -> batches of network inputs and belief map labels."""

import functools
import sys
from dataclasses import dataclass

import caffe
import numpy as np

from prior import skeleton

from . import annotations, belief_maps, crop, params
from .prefetch import Prefetcher

NAME = "PoseDataLayer"
# The position in the data is kept as two float32 numbers, each exact below 2^24.
RADIX = 2**20
# Keep the random numbers of the order and of the augmentations apart.
ORDER, AUGMENT = 0, 1


@dataclass(frozen=True)
class Params:
    source: str  # file of annotations, from the directory where Caffe runs
    batch_size: int
    input_size: int = belief_maps.LABEL_INPUT  # px, side of the square input
    stride: int = 8  # input px in a map px
    sigma: float | None = None  # of the label's Gaussian, input px; None: CPM's 7 at 368, scaled
    augment: bool = False  # random scale, rotation, flip and shift, with CPM's ranges
    shuffle: bool | None = None  # a new order in each epoch; None: as `augment`
    seed: int = 0
    workers: int = 1  # processes that make batches ahead; 0: none, made when needed

    def __post_init__(self):
        for key in "batch_size", "input_size", "stride":
            if getattr(self, key) < 1:
                raise ValueError(f"{key}: expected at least 1, got {getattr(self, key)}")
        for key in "seed", "workers":
            if getattr(self, key) < 0:
                raise ValueError(f"{key}: expected 0 or more, got {getattr(self, key)}")
        if self.input_size % self.stride:
            raise ValueError(
                f"input_size: expected a multiple of the stride {self.stride}, "
                f"got {self.input_size}"
            )
        if self.sigma is not None and not self.sigma > 0:
            raise ValueError(f"sigma: expected > 0 input px, got {self.sigma}")

    @property
    def shapes(self):
        """Of data, label, center_map and camera."""
        n, size, cells = self.batch_size, self.input_size, self.input_size // self.stride
        return (n, 3, size, size), (n, skeleton.L + 1, cells, cells), (n, 1, size, size), (n, 3, 3)


class Samples:
    """The endless sequence of samples: a function of the position alone, so anyone can make any.

    Position p is record p % M of epoch p // M, M records in the order of that epoch.
    """

    def __init__(self, people, given):
        self.people, self.given = people, given
        self.sigma = given.sigma
        if self.sigma is None:
            self.sigma = belief_maps.LABEL_SIGMA * given.input_size / belief_maps.LABEL_INPUT
        shuffle = given.augment if given.shuffle is None else given.shuffle
        self._order = functools.lru_cache(2)(self._shuffled if shuffle else self._as_in_the_file)

    def _shuffled(self, epoch):
        rng = np.random.default_rng([ORDER, self.given.seed, epoch])
        return rng.permutation(len(self.people))

    def _as_in_the_file(self, epoch):
        return np.arange(len(self.people))

    def batch(self, position, arrays):
        """Fill `arrays` (of Params.shapes) from `position` on; returns the images left out.

        These are (file, reason) pairs: an image that cannot be read gives its place to the next
        in order that can, which then comes twice; so each place stays a function of its position.
        Raises ValueError when there is none.
        """
        damaged = []
        for row in range(self.given.batch_size):
            index, image = self._readable(position + row, damaged)
            sample = self._sample(index, image, self._augmentation(position + row))
            for array, value in zip(arrays, sample, strict=True):
                array[row] = value
        return damaged

    def _readable(self, position, damaged):
        count = len(self.people)
        for place in range(position, position + count):
            epoch, place = divmod(place, count)
            index = int(self._order(epoch)[place])
            try:
                return index, crop.read(
                    self.people.files[index], tuple(self.people.image_sizes[index])
                )
            except crop.ImageError as error:
                damaged.append((self.people.files[index], str(error)))
        raise ValueError(
            f"{self.people.path}: none of its {count} images can be read, as: {damaged[-1][1]}"
        )

    def _augmentation(self, position):
        if not self.given.augment:
            return crop.PLAIN
        return crop.draw(np.random.default_rng([AUGMENT, self.given.seed, position]))

    def _sample(self, index, image, augmentation):
        people, size, stride = self.people, self.given.input_size, self.given.stride
        view = crop.frame(people.boxes[index], size, augmentation)
        points = belief_maps.to_map(crop.landmarks(people.points[index], view), stride)
        cells = size // stride
        intrinsics = people.intrinsics[index] if people.has_camera(index) else None
        return (
            crop.input_blob(crop.warp(image, view)),
            belief_maps.render(points[None], cells, cells, self.sigma / stride)[0],
            crop.centre_map(view)[None],
            crop.camera(people.rotations[index], view, intrinsics),
        )


class PoseDataLayer(caffe.Layer):
    """Images of single people, cropped, with the belief maps to learn.

    Tops, the last of which may be left out, at least two: data (N, 3, S, S), BGR, (x - 128) / 256;
    label (N, L + 1, S / stride, S / stride); center_map (N, 1, S, S), a Gaussian at the person's
    centre; camera (N, 3, 3), world to camera, of the camera that sees the crop.

    Blob (2,): the position in the data, so that a snapshot has it and a resumed training goes on
    with the next sample. Give it `param { lr_mult: 0 decay_mult: 0 }`. In the TEST phase the
    layer keeps a position of its own: Caffe shares the blobs of layers of one name between the
    training and the test net. For the same reason do not name the layer "data": Caffe aborts when
    weights with a layer of that name and another number of blobs, CPM's or a deploy net's, meet it.

    Order and augmentations depend on the seed and the position only, not on the workers.
    """

    def setup(self, bottom, top):
        params.check_count(NAME, "bottoms", bottom, [0])
        params.check_count(NAME, "tops", top, [2, 3, 4])
        self.given = given = params.read(NAME, self.param_str, Params)
        try:
            people = annotations.load(given.source)
        except annotations.AnnotationError as error:
            raise ValueError(f"{NAME}: source: {error}") from None
        self.blobs.add_blob(2)
        self.own_position = np.zeros(2, np.float32)
        self.damaged = set()
        self.spare = [np.empty(shape, np.float32) for shape in given.shapes[len(top) :]]
        # The workers start now, while the process is small, and get their work at the first
        # forward: a snapshot is read between the two.
        samples = Samples(people, given)
        self.batches = Prefetcher(samples.batch, given.shapes, given.batch_size, given.workers)

    def reshape(self, bottom, top):
        for i in range(len(top)):  # Caffe's vectors of blobs know indices only
            top[i].reshape(*self.given.shapes[i])

    def forward(self, bottom, top):
        kept = self.own_position if self.phase == caffe.TEST else self.blobs[0].data
        position = _unpacked(kept)
        try:
            damaged = self.batches.get(
                position, [top[i].data for i in range(len(top))] + self.spare
            )
        except (RuntimeError, ValueError) as error:
            raise RuntimeError(f"{NAME}: {error}") from None
        for file, reason in damaged:
            if file not in self.damaged:
                self.damaged.add(file)
                print(
                    f"{NAME}: {reason}; the next image takes its place "
                    f"({len(self.damaged)} left out so far)",
                    file=sys.stderr,
                    flush=True,
                )
        kept[...] = divmod(position + self.given.batch_size, RADIX)

    def backward(self, top, propagate_down, bottom):
        pass

    def stop(self):
        """End the worker processes; they end with the program anyway."""
        self.batches.stop()


def _unpacked(kept):
    high, low = kept.tolist()
    if not (high >= 0 and 0 <= low < RADIX and high.is_integer() and low.is_integer()):
        raise ValueError(
            f"{NAME}: expected a position in its blob, got {high}, {low}; the solver must leave it "
            "alone: give the layer param { lr_mult: 0 decay_mult: 0 }"
        )
    return int(high) * RADIX + int(low)
