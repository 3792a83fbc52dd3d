"""The endless sequence of training samples: a function of the position alone.

So anyone can make any: the prefetching processes in their turn, and a resumed training from where
it was. Position p of one source is record p % M of its epoch p // M, M records in the order of
that epoch. Sources are mixed in blocks: with the shares {A: 3, B: 1} each four positions have
three records of A and one of B, in an order of the block's own.
"""

import functools

import numpy as np

from python_layers import belief_maps
from python_layers.data import crop, images

# Keep the random numbers of the order, of the augmentations and of the mixture apart.
ORDER, AUGMENT, MIX = 0, 1, 2


class Samples:
    """Makes batches of the arrays of Params.shapes from annotated people.

    sources: [(Annotations, share)]; given: pose_data.Params.
    """

    def __init__(self, sources, given):
        self.given = given
        self.sources = [people for people, _ in sources]
        self._block = np.repeat(np.arange(len(sources)), [share for _, share in sources])
        self.sigma = given.sigma
        if self.sigma is None:
            self.sigma = belief_maps.LABEL_SIGMA * given.input_size / belief_maps.LABEL_INPUT
        self._ranges = crop.ranges(given.augment)
        self._shuffle = self._ranges is not None if given.shuffle is None else given.shuffle
        self._order = functools.lru_cache(2 * len(sources))(self._order_of)

    def batch(self, position, arrays):
        """Fill `arrays` (of Params.shapes) from `position` on; returns the images left out.

        These are (file, reason) pairs: an image that cannot be read gives its place to the next
        of its source that can, which then comes twice; so each place stays a function of its
        position. Raises ValueError when there is none.
        """
        damaged = []
        for row in range(self.given.batch_size):
            people, index, image = self._readable(*self.place(position + row), damaged)
            sample = self._sample(people, index, image, self._augmentation(position + row))
            for array, value in zip(arrays, sample, strict=True):
                array[row] = value
        return damaged

    def place(self, position):
        """(number of the source, place in its own sequence) of a position."""
        block, within = divmod(position, len(self._block))
        turns = self._block
        if len(self.sources) > 1:
            turns = np.random.default_rng([MIX, self.given.seed, block]).permutation(turns)
        source = turns[within]
        before = np.count_nonzero(turns[:within] == source)
        return int(source), block * np.count_nonzero(turns == source) + before

    def _order_of(self, source, epoch):
        count = len(self.sources[source])
        if not self._shuffle:
            return np.arange(count)
        seed = [ORDER, self.given.seed, epoch, source][: 4 if source else 3]
        return np.random.default_rng(seed).permutation(count)

    def _readable(self, source, start, damaged):
        people = self.sources[source]
        count = len(people)
        for place in range(start, start + count):
            epoch, place = divmod(place, count)
            index = int(self._order(source, epoch)[place])
            try:
                return people, index, people.image(index)
            except images.ImageError as error:
                damaged.append((people.files[index], str(error)))
        raise ValueError(
            f"{people.path}: none of its {count} images can be read, as: {damaged[-1][1]}"
        )

    def _augmentation(self, position):
        if self._ranges is None:
            return crop.PLAIN
        rng = np.random.default_rng([AUGMENT, self.given.seed, position])
        return crop.draw(rng, self._ranges)

    def _sample(self, people, index, image, augmentation):
        view = crop.frame(people.boxes[index], self.given.input_size, augmentation)
        label, mask = self._label(people.points[index][None], view)
        label_stage1, mask_stage1 = label, mask
        others = self._in_sight(people.others(index), view)
        if len(others):
            everyone = np.concatenate([people.points[index][None], others])
            label_stage1, mask_stage1 = self._label(everyone, view)
        intrinsics = people.intrinsics[index] if people.has_camera(index) else None
        return (
            crop.input_blob(crop.warp(image, view)),
            crop.centre_map(view)[None],
            label,
            mask,
            label_stage1,
            mask_stage1,
            crop.camera(people.rotations[index], view, intrinsics),
        )

    def _label(self, points, view):
        """Maps (L + 1, H, W) of the people with landmarks (K, 17, 2) image px, and the mask."""
        stride = self.given.stride
        cells = self.given.input_size // stride
        points = np.stack([crop.landmarks(person, view) for person in points])
        return belief_maps.labels(belief_maps.to_map(points, stride), cells, self.sigma / stride)

    def _in_sight(self, points, view):
        """Those of the people (K, 17, 2) of whom a landmark lies in the input."""
        inputs = crop.to_input(points, view)
        inside = ((inputs >= -0.5) & (inputs <= view.size - 0.5)).all(axis=-1)
        return points[inside.any(axis=-1)]
