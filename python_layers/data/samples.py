"""The endless sequence of training samples: a function of the position alone.

So any process can make any sample: each prefetching process its own, and a resumed training those
from where it was. Position p of one source is record p % M of its epoch p // M, with M records in
the order of that epoch. Sources are mixed in blocks: with the shares {A: 3, B: 1} each four
positions have three records of A and one of B, in an order of the block's own.
"""

import functools
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from prior.errors import InputError
from python_layers import belief_maps
from python_layers.data import crop, images
from python_layers.data.annotations import Annotations

# Keep the random numbers of the order, of the augmentations and of the mixture apart.
ORDER, AUGMENT, MIX = 0, 1, 2

# The file of an image that cannot be read, and why.
Damaged: TypeAlias = tuple[str, str]


@runtime_checkable
class Parameters(Protocol):
    """Those of pose_data.Params that samples depend on."""

    @property
    def batch_size(self) -> int: ...

    @property
    def input_size(self) -> int: ...

    @property
    def stride(self) -> int: ...

    @property
    def sigma(self) -> float | None: ...

    @property
    def augment(self) -> bool | dict[str, Any]: ...

    @property
    def shuffle(self) -> bool | None: ...

    @property
    def seed(self) -> int: ...


class Samples:
    """Makes batches of the arrays of `shapes` from annotated people.

    sources: annotations, all of the same skeleton, and their shares. Raises InputError where
    samples are to be mirrored and the skeleton has no mirror image.
    """

    def __init__(self, sources: Sequence[tuple[Annotations, int]], parameters: Parameters) -> None:
        self.parameters = parameters
        self.sources = [people for people, _ in sources]
        self._block = np.repeat(np.arange(len(sources)), [share for _, share in sources])
        sigma, size = parameters.sigma, parameters.input_size
        if sigma is None:
            sigma = belief_maps.LABEL_SIGMA * size / belief_maps.LABEL_INPUT
        self.sigma = sigma
        self.skeleton = self.sources[0].skeleton
        self._ranges = crop.ranges(parameters.augment)
        if self._ranges and self._ranges.flip and not self.skeleton.mirrors:
            raise InputError(
                "augment: the model's skeleton has no pairs, left and right, so that a mirrored "
                'picture shows no such body: expected "flip": 0'
            )
        shuffle = parameters.shuffle
        self._shuffle = self._ranges is not None if shuffle is None else shuffle
        self._order = functools.lru_cache(2 * len(sources))(self._order_of)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the arrays of a batch, the tops of the data layer."""
        n, size = self.parameters.batch_size, self.parameters.input_size
        cells, maps = size // self.parameters.stride, len(self.skeleton) + 1
        label, mask = (n, maps, cells, cells), (n, maps)
        image = (n, 3, size, size), (n, 1, size, size)
        return *image, label, mask, label, mask, (n, 3, 3)

    def batch(self, position: int, arrays: Sequence[np.ndarray]) -> list[Damaged]:
        """Fill `arrays` from `position` on. Returns the images that cannot be read.

        An image that cannot be read gives its place to the next one of its source that can, which
        then comes twice; so each sample remains a function of its position. Raises ValueError when
        a source has no image that can be read.
        """
        damaged: list[Damaged] = []
        for row in range(self.parameters.batch_size):
            augmentation = self._augmentation(position + row)
            shown = self._readable(*self.place(position + row), augmentation, damaged)
            sample = self._sample(*shown)
            for array, value in zip(arrays, sample, strict=True):
                array[row] = value
        return damaged

    def place(self, position: int) -> tuple[int, int]:
        """The number of the source at a position, and the place in its own sequence."""
        block, within = divmod(position, len(self._block))
        turns = self._block
        if len(self.sources) > 1:
            turns = np.random.default_rng([MIX, self.parameters.seed, block]).permutation(turns)
        source = turns[within]
        before = np.count_nonzero(turns[:within] == source)
        return int(source), int(block * np.count_nonzero(turns == source) + before)

    def _order_of(self, source: int, epoch: int) -> Int[np.ndarray, "M"]:
        """The records of a source in the order of an epoch."""
        count = len(self.sources[source])
        if not self._shuffle:
            return np.arange(count)
        seed = [ORDER, self.parameters.seed, epoch, source][: 4 if source else 3]
        return np.random.default_rng(seed).permutation(count)

    def _readable(
        self, source: int, start: int, augmentation: crop.Augmentation, damaged: list[Damaged]
    ) -> tuple[Annotations, int, crop.Crop, UInt8[np.ndarray, "S S 3"]]:
        """The first record from place `start` on whose image can be read, and what is seen of it.

        The images that cannot be read are added to `damaged`.
        """
        people = self.sources[source]
        count = len(people)
        for place in range(start, start + count):
            epoch, place = divmod(place, count)
            index = int(self._order(source, epoch)[place])
            square = crop.frame(people.boxes[index], self.parameters.input_size, augmentation)
            try:
                image, part = people.reduced(index, crop.block(square.matrix))
                return people, index, square, crop.warp(image, square, part)
            except images.ImageError as error:
                damaged.append((people.files[index], str(error)))
        raise ValueError(
            f"{people.path}: none of its {count} images can be read, as: {damaged[-1][1]}"
        )

    def _augmentation(self, position: int) -> crop.Augmentation:
        if self._ranges is None:
            return crop.PLAIN
        rng = np.random.default_rng([AUGMENT, self.parameters.seed, position])
        return crop.draw(rng, self._ranges)

    def _sample(
        self,
        people: Annotations,
        index: int,
        square: crop.Crop,
        seen: UInt8[np.ndarray, "S S 3"],
    ) -> tuple[np.ndarray, ...]:
        """A value for each top of the layer."""
        label, mask = self._label(people.points[index][None], square)
        label_stage1, mask_stage1 = label, mask
        others = _in_sight(people.others(index), square)
        if len(others):
            everyone = np.concatenate([people.points[index][None], others])
            label_stage1, mask_stage1 = self._label(everyone, square)
        intrinsics = people.intrinsics[index] if people.has_camera(index) else None
        return (
            crop.input_blob(seen, square.augmentation),
            crop.centre_map(square)[None],
            label,
            mask,
            label_stage1,
            mask_stage1,
            crop.camera(people.rotations[index], square, intrinsics),
        )

    def _label(
        self, points: Float[np.ndarray, "K L 2"], square: crop.Crop
    ) -> tuple[Float32[np.ndarray, "maps H W"], Float32[np.ndarray, "maps"]]:
        """The maps of the people with these landmarks, image px, and the mask."""
        stride = self.parameters.stride
        cells = self.parameters.input_size // stride
        inputs = np.stack([crop.landmarks(person, square, self.skeleton) for person in points])
        return belief_maps.labels(belief_maps.to_map(inputs, stride), cells, self.sigma / stride)


def _in_sight(points: Float[np.ndarray, "K L 2"], square: crop.Crop) -> Float[np.ndarray, "S L 2"]:
    """Those of the people who have a landmark in the input."""
    inputs = crop.to_input(points, square)
    inside = ((inputs >= -0.5) & (inputs <= square.size - 0.5)).all(axis=-1)
    return points[inside.any(axis=-1)]
