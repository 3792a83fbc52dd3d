"""Annotated people -> batches of network inputs and belief map labels."""

import sys
from dataclasses import dataclass
from typing import Any

import caffe
import numpy as np
from jaxtyping import Float32

import prior
from prior import limits
from prior.errors import InputError
from prior.skeleton import HUMAN36M, Skeleton
from python_layers import belief_maps, params
from python_layers.data import annotations, crop
from python_layers.data.prefetch import Prefetcher
from python_layers.data.samples import Samples
from python_layers.params import Blobs, Flags

NAME = "PoseDataLayer"
# The position in the data is kept as two float32 numbers, each exact below 2^24.
RADIX = 2**20
# The most shares that a source may have. A block of mixed sources is as long as all shares
# together, and is laid out anew for each sample: it must stay short.
MOST_SHARES = 1000
# px, and images: several times what networks of the paper's kind take. Our choice.
LARGEST_INPUT, LARGEST_BATCH = 4096, 4096


@dataclass(frozen=True)
class Params:
    # The path of a file of annotations, or of the folder of a CPM LMDB, from the directory where
    # Caffe runs; or several, with their shares of the samples: {"a.pack": 3, "lmdb/MPI": 1}
    source: str | dict
    batch_size: int
    # The path of the prior whose landmarks the people have; None: Human3.6M's 17
    model: str | None = None
    input_size: int = belief_maps.LABEL_INPUT  # px, side of the square input
    stride: int = 8  # input px in a map px
    sigma: float | None = None  # of the label's Gaussian, input px; None: CPM's 7 at 368, scaled
    # Random scale, rotation, shift and flip: true for CPM's ranges, or those of crop.Ranges that
    # are to be others
    augment: bool | dict = False
    shuffle: bool | None = None  # a new order in each epoch; None: if `augment`
    seed: int = 0
    workers: int = 1  # processes that make batches ahead; 0: none, made when needed

    def __post_init__(self) -> None:
        shares = self.shares
        if not shares or not all(type(n) is int and 0 < n <= MOST_SHARES for n in shares.values()):
            raise InputError(
                f"source: expected a file, or files with whole shares of 1 to {MOST_SHARES}, "
                f"got {self.source}"
            )
        for key in "batch_size", "input_size", "stride":
            if getattr(self, key) < 1:
                raise InputError(f"{key}: expected at least 1, got {getattr(self, key)}")
        for key in "seed", "workers":
            if getattr(self, key) < 0:
                raise InputError(f"{key}: expected 0 or more, got {getattr(self, key)}")
        limits.check("workers", "workers", self.workers)
        if self.input_size > LARGEST_INPUT or self.batch_size > LARGEST_BATCH:
            raise InputError(
                f"expected input_size up to {LARGEST_INPUT} and batch_size up to {LARGEST_BATCH}, "
                f"got {self.input_size} and {self.batch_size}"
            )
        if self.input_size % self.stride:
            raise InputError(
                f"input_size: expected a multiple of the stride {self.stride}, "
                f"got {self.input_size}"
            )
        crop.ranges(self.augment)
        if self.sigma is not None and not self.sigma > 0:
            raise InputError(f"sigma: expected > 0 input px, got {self.sigma}")

    @property
    def shares(self) -> dict[str, Any]:
        """{file: its share of the samples}."""
        return self.source if isinstance(self.source, dict) else {self.source: 1}


class PoseDataLayer(caffe.Layer):
    """Images of people, each cropped around one of them, with the belief maps to learn.

    Tops: data (N, 3, S, S), BGR, (x - 128) / 256; center_map (N, 1, S, S), a Gaussian at the
    person's centre; label (N, L + 1, S / stride, S / stride), of that person, and mask (N, L + 1),
    1 for the maps that the loss may judge, see belief_maps.labels; label_stage1 and mask_stage1,
    the same for everyone in sight, for a stage that does not know yet who is meant; camera
    (N, 3, 3), world to camera, of the camera that sees the crop, level where the source knows none.
    All from label_stage1 on, or the camera alone, may be left out.

    Blob (2,): the position in the data. So a snapshot has it, and a resumed training goes on with
    the next sample. Give it `param { lr_mult: 0 decay_mult: 0 }`. In the TEST phase the layer keeps
    a position of its own, because Caffe shares the blobs of layers of one name between the training
    and the test net. For the same reason do not name the layer "data": Caffe aborts when it meets
    weights with a layer of that name and another number of blobs, as CPM's or a deploy net's.

    Order and augmentations depend on the seed and the position alone, not on the workers.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        params.check_count(NAME, "bottoms", bottom, [0])
        params.check_count(NAME, "tops", top, [4, 6, 7])
        self.parameters = chosen = params.read(NAME, self.param_str, Params)
        skeleton = _skeleton(chosen.model)
        try:
            sources = [
                (annotations.load(path, skeleton=skeleton), share)
                for path, share in chosen.shares.items()
            ]
        except annotations.AnnotationError as error:
            raise InputError(f"{NAME}: source: {error}") from None
        try:
            samples = Samples(sources, chosen)
        except InputError as error:
            raise InputError(f"{NAME}: {error}") from None
        self.blobs.add_blob(2)
        self.own_position = np.zeros(2, np.float32)
        self.damaged: set[str] = set()
        # For the tops that are left out.
        self.shapes = samples.shapes
        self.spare = [np.empty(shape, np.float32) for shape in self.shapes[len(top) :]]
        # The workers start now, while the process is small. They get their work at the first
        # forward, since a snapshot is read between the two.
        self.batches = Prefetcher(samples.batch, self.shapes, chosen.batch_size, chosen.workers)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        for i in range(len(top)):  # Caffe's vectors of blobs know indices only
            top[i].reshape(*self.shapes[i])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
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
        kept[...] = divmod(position + self.parameters.batch_size, RADIX)

    def backward(self, top: Blobs, propagate_down: Flags, bottom: Blobs) -> None:
        pass

    def stop(self) -> None:
        """End the worker processes, which otherwise end with the program."""
        self.batches.stop()


def _skeleton(model: str | None) -> Skeleton:
    """The skeleton of the prior in a file; Human3.6M's without one. Raises InputError."""
    if model is None:
        return HUMAN36M
    try:
        return prior.load(model).skeleton
    except (OSError, InputError) as error:
        raise InputError(f"{NAME}: model: {error}") from None


def _unpacked(kept: Float32[np.ndarray, "2"]) -> int:
    """The position that is kept as two numbers. Raises InputError if the solver changed them."""
    high, low = kept.tolist()
    if not (high >= 0 and 0 <= low < RADIX and high.is_integer() and low.is_integer()):
        raise InputError(
            f"{NAME}: expected a position in its blob, got {high}, {low}; the solver must leave it "
            "alone: give the layer param { lr_mult: 0 decay_mult: 0 }"
        )
    return int(high) * RADIX + int(low)
