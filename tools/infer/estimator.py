"""Runs a trained network on people in images, as CPM is tested: by box, at one or more scales.

Where a person is shown in one way, the network's own lifting is the answer. Where in several
(scales, mirrored), the maps of all are brought into the input of the plain one and averaged there.
The landmarks are then taken from the averaged maps, and lifted again.
"""

import argparse
import itertools
import json
import re
from typing import NamedTuple

import cv2
import numpy as np

import prior
from prior import skeleton
from prior.errors import InputError
from prototxt.machines import MACHINES
from python_layers import belief_maps
from python_layers.data import crop
from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import CaffeFileError, read_text, read_weights

BATCH = 8  # inputs in one run of the network: our choice, which bounds its memory
# Parameters of the lifting layer that are prior.Lifter's.
LIFTER_OPTIONS = ("rotations", "noise_mm", "criterion")
# Sizes at which CPM shows a person when it is tested: the range is CPM's, the five in it are our
# choice.
CPM_SCALES = (0.7, 0.85, 1.0, 1.15, 1.3)
# For each of our maps, the map of the other side of the body; that of the background is itself.
OURS_MIRRORED = np.append(skeleton.MIRROR, skeleton.L)


class Person(NamedTuple):
    """A person to estimate."""

    image: np.ndarray  # (H, W, 3) uint8, BGR
    box: np.ndarray  # x, y, width, height, px
    rotation: np.ndarray  # (3, 3), world to camera
    intrinsics: np.ndarray | None = None  # (3, 3), px


def annotated(people, i):
    """The Person of record i of annotations.Annotations."""
    intrinsics = people.intrinsics[i] if people.has_camera(i) else None
    return Person(people.image(i), people.boxes[i], people.rotations[i], intrinsics)


class Estimate(NamedTuple):
    """What a network of T stages says of one person. Landmarks are in px of the image."""

    points: np.ndarray  # (T, 17, 2), of the maps that leave each stage
    beliefs: np.ndarray  # (T, 17, 2), of the CNN's maps, before fusion
    # (T + 1, 17, 3), mm, world axes: of each stage, then of the final lifting; None without lifting
    poses: np.ndarray | None
    peak: np.ndarray  # (17,), the maxima of the last maps
    covariance: np.ndarray  # (T, 17, 2, 2), px^2: how unsure `points` are, by the maps


class StageMaps(NamedTuple):
    """What the stages of a network with lifting make of one person, one after another."""

    beliefs: list[np.ndarray]  # (18, H, W), the CNN's maps
    fused: list[np.ndarray]  # (18, H, W), the maps after fusion
    projected: list[np.ndarray]  # (17, 2), px of the image: the 3D pose projected (equation 5)
    poses: list[np.ndarray]  # (17, 3), mm, world axes


def check_weights(deploy, weights):
    """Raises CaffeFileError unless the weights fit the network, or CaffeError if it does not load.

    Caffe would abort the process on weights of other shapes.
    """
    shapes = caffe_process.dry_run(deploy)
    kept = {name: [list(b.shape) for b in blobs] for name, blobs in read_weights(weights).items()}
    for name, expected in shapes.items():
        expected = [list(shape) for shape in expected]
        if kept.get(name) != expected:
            raise CaffeFileError(
                f"{weights}: layer {name}: expected blobs {expected} for {deploy}, "
                f"found {kept.get(name, 'no such layer')}"
            )


def whole_image(shape, size, centre=None):
    """The box with which a network's input of `size` px covers a whole image.

    shape: (H, W, ...) of the image; centre: (x, y), px, where the person is that the network is to
    look for; None: in the middle of the image.
    """
    height, width = shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    centre = middle if centre is None else np.asarray(centre, dtype=float)
    reach = max(width, height) + 2 * np.abs(centre - middle).max()
    side = crop.person_fraction(size) * reach
    return np.array([*(centre - side / 2), side, side])


class Network:
    """A deploy network of prototxt/ with its weights.

    Raises what `check_weights` raises, and InputError on another network.
    """

    def __init__(self, deploy, weights):
        import caffe

        layers = read_text(deploy, caffe.proto.caffe_pb2.NetParameter()).layer
        if not any("beliefs_stage1" in layer.top for layer in layers):
            raise InputError(
                f"{deploy}: expected a network of prototxt/, with beliefs_stage1; for a released "
                "one there is tools.infer.predict"
            )
        check_weights(deploy, weights)
        caffe.set_mode_cpu()
        self.net = net = caffe.Net(str(deploy), str(weights), caffe.TEST)
        self.size = net.blobs["data"].shape[2]
        # Caffe adds blobs of its own, with longer names, where one is read twice.
        self.stages = sum(re.fullmatch(r"beliefs_stage\d+", name) is not None for name in net.blobs)
        self.lifts = "pose" in net.blobs
        self.stride = self.size // net.blobs["beliefs_stage1"].shape[2]
        self.lifting, self.sigma = {}, label_sigma(self.size)
        for layer in layers:
            if layer.name == "lifting":
                self.lifting = json.loads(layer.python_param.param_str)
            elif layer.name == "projection_stage1":
                self.sigma = self.stride * json.loads(layer.python_param.param_str)["sigma"]
        self.fusion = [
            float(net.params[f"fusion_stage{t + 1}"][0].data.mean())
            for t in range(self.stages)
            if f"fusion_stage{t + 1}" in net.params
        ]

    def maps_before(self, t):
        """Name of stage t's CNN maps, t from 0."""
        return f"beliefs_stage{t + 1}"

    def maps_after(self, t):
        """Name of the maps that leave stage t."""
        fused = f"fused_stage{t + 1}"
        return fused if fused in self.net.blobs else self.maps_before(t)

    def pose(self, t):
        """Name of stage t's pose; one without lifting of its own (an option) has the last."""
        return next(p for p in (f"pose_stage{t + 1}", "pose") if p in self.net.blobs)

    def by_stage(self, kind):
        """Names of the blobs of a kind, such as "fused", of the stages that have one, in order."""
        stages = (f"{kind}_stage{t + 1}" for t in range(self.stages))
        return [name for name in stages if name in self.net.blobs]

    def stage_maps(self, person):
        """The StageMaps of a Person."""
        view = crop.frame(person.box, self.size)
        kinds = {kind: self.by_stage(kind) for kind in ("beliefs", "fused", "landmarks", "pose")}
        blobs = self.run([inputs_of(person, view)], itertools.chain(*kinds.values()))
        beliefs, fused, landmarks, poses = (
            [blobs[name][0] for name in names] for names in kinds.values()
        )
        projected = [
            crop.to_image(belief_maps.to_input(points, self.stride), view) for points in landmarks
        ]
        return StageMaps(beliefs, fused, projected, poses)

    def run(self, inputs, names):
        """{name: array of that blob} of inputs [(data, center_map, camera)], in batches."""
        outputs = {name: [] for name in names}
        for chunk in _batched(inputs, BATCH):
            for i, name in enumerate(("data", "center_map", "camera")[: 3 if self.lifts else 2]):
                blob = self.net.blobs[name]
                blob.reshape(len(chunk), *blob.shape[1:])
                for place, values in enumerate(chunk):
                    blob.data[place] = values[i]
            self.net.forward()
            for name, arrays in outputs.items():
                arrays.append(self.net.blobs[name].data.copy())
        return {name: np.concatenate(arrays) for name, arrays in outputs.items()}


def label_sigma(size):
    """Of the labels that a network of prototxt/ with this input learns from, px of the input."""
    sigmas = {machine.input: machine.label_sigma for machine in MACHINES.values()}
    return sigmas.get(size, belief_maps.LABEL_SIGMA)


class Landmarks(NamedTuple):
    """What maps say: points (17, 2), px of the input; peak (17,); covariance (17, 2, 2), px^2."""

    points: np.ndarray
    peak: np.ndarray
    covariance: np.ndarray


def inputs_of(person, view):
    """(data, center_map, camera) with which a network is shown a Person in a Crop."""
    return (
        crop.input_blob(crop.warp(person.image, view)),
        crop.centre_map(view),
        crop.camera(person.rotation, view, person.intrinsics),
    )


class Estimator:
    """Estimates people with a Network, one after another.

    scales: sizes at which a person is shown; 1 is the size in training. flip: also show the mirror
    image. subpixel: take landmarks at fractions of the maps' cells; False takes the most confident
    cell, as the paper does. model: the PriorModel that lifts the landmarks of averaged maps; needed
    only for these. Raises InputError on scales outside 0.1 to 10 or a missing model.
    """

    def __init__(self, network, *, scales=(1.0,), flip=False, subpixel=True, model=None):
        self.network, self.subpixel = network, subpixel
        self.variants = variants(scales, flip)
        self.averages = self.variants != [crop.PLAIN]
        self.lifter = None
        if self.averages and network.lifts:
            if model is None:
                raise InputError("model: expected a prior, to lift averaged maps with, got none")
            options = {name: network.lifting.get(name) for name in LIFTER_OPTIONS}
            options = {name: value for name, value in options.items() if value is not None}
            self.lifter = prior.Lifter(model, **options)

    def estimates(self, people):
        """Yields the Estimate of each Person of an iterable."""
        for group in _batched(people, max(1, BATCH // len(self.variants))):
            yield from self._group(group)

    def _group(self, people):
        views = [
            [crop.frame(person.box, self.network.size, variant) for variant in self.variants]
            for person in people
        ]
        inputs = [
            inputs_of(person, view)
            for person, own in zip(people, views, strict=True)
            for view in own
        ]
        stages = range(self.network.stages)
        names = self._maps()
        if self.network.lifts and not self.averages:
            names |= {self.network.pose(t) for t in stages} | {"pose"}
        blobs = self.network.run(inputs, names)
        count = len(self.variants)
        for i, person in enumerate(people):
            own = {name: array[i * count : (i + 1) * count] for name, array in blobs.items()}
            if self.averages:
                yield self._averaged(person, views[i], own)
            else:
                yield self._single(views[i][0], own)

    def _maps(self):
        """The names of the maps before and after the fusion of all stages."""
        stages = range(self.network.stages)
        return {of(t) for of in (self.network.maps_before, self.network.maps_after) for t in stages}

    def _read(self, maps, stride):
        """The Landmarks of maps (18, H, W) with `stride` px of the input to a cell."""
        points, peak = belief_maps.argmax(maps[None], self.subpixel)
        sigma = self.network.sigma / stride
        covariance = stride**2 * belief_maps.covariance(maps[None], points, sigma)
        return Landmarks(belief_maps.to_input(points[0], stride), peak[0], covariance[0])

    def _single(self, view, blobs):
        """From the network's own maps and poses."""
        network, stages = self.network, range(self.network.stages)
        landmarks = {name: self._read(blobs[name][0], network.stride) for name in self._maps()}
        poses = None
        if network.lifts:
            poses = np.stack([*(blobs[network.pose(t)][0] for t in stages), blobs["pose"][0]])
        return self._estimate(landmarks, view, poses)

    def _averaged(self, person, views, blobs):
        """From the mean of the maps of all views, in the input px of the plain one."""
        network, stages = self.network, range(self.network.stages)
        target = crop.frame(person.box, network.size)
        landmarks = {
            name: self._read(mean_maps(maps, views, target, network.stride), 1)
            for name, maps in blobs.items()
        }
        poses = None
        if self.lifter is not None:
            names = [*map(network.maps_before, stages), network.maps_after(stages[-1])]
            points, _, covariance = (
                np.stack(a) for a in zip(*(landmarks[name] for name in names), strict=True)
            )
            poses = self.lifter.lift(
                points.astype(float),
                camera=crop.camera(person.rotation, target, person.intrinsics),
                covariance=covariance if network.lifting.get("covariance") else None,
            ).pose
        return self._estimate(landmarks, target, poses)

    def _estimate(self, landmarks, view, poses):
        """The Estimate of {name of maps: its Landmarks} in the input of a Crop."""
        stages = range(self.network.stages)
        after = [landmarks[self.network.maps_after(t)] for t in stages]
        before = [landmarks[self.network.maps_before(t)] for t in stages]
        return Estimate(
            crop.to_image(np.stack([own.points for own in after]), view),
            crop.to_image(np.stack([own.points for own in before]), view),
            poses,
            after[-1].peak,
            crop.covariance_to_image(np.stack([own.covariance for own in after]), view),
        )


def variants(scales, flip):
    """How a person is shown: an Augmentation for each scale and, with `flip`, its mirror image.

    Raises InputError on scales outside 0.1 to 10.
    """
    scales = list(scales)
    if not scales or not all(0.1 <= scale <= 10 for scale in scales):
        raise InputError(f"scales: expected numbers of 0.1 to 10, got {scales}")
    flips = (False, True) if flip else (False,)
    return [crop.Augmentation(scale=s, flip=f) for s in scales for f in flips]


def mean_maps(maps, views, target, stride, mirror=OURS_MIRRORED, background=skeleton.L):
    """The mean (L + 1, S, S) of maps of several views, in the input px of the Crop `target`.

    maps: (V, L + 1, H, W), of V views; views: their Crops. Left and right of a flipped view are
    swapped. The interpolation is bicubic, as CPM's. Beyond its border a view shows nobody: there
    landmarks are 0 and the background is 1. For other landmarks than ours, mirror: the map of the
    other side for each map; background: the index of the background, or None.
    """
    total = np.zeros((maps.shape[1], target.size, target.size), np.float32)
    offset = (stride - 1) / 2  # as belief_maps.to_input
    to_input = np.array([[stride, 0, offset], [0, stride, offset], [0, 0, 1.0]])
    for own, view in zip(maps, views, strict=True):
        own = own[mirror] if view.augmentation.flip else own
        to_image = np.linalg.inv(np.vstack([view.matrix, [0, 0, 1]]))
        matrix = target.matrix @ to_image @ to_input
        for channel, values in enumerate(own):
            total[channel] += cv2.warpAffine(
                values,
                matrix,
                (target.size, target.size),
                flags=cv2.INTER_CUBIC,
                borderValue=float(channel == background),
            )
    return total / len(views)


def add_options(parser):
    """Add the options of Estimator to a program's parser."""
    scales = " ".join(map(str, CPM_SCALES))
    parser.add_argument(
        "--subpixel",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="landmarks at fractions of a cell; the paper: no (default: yes)",
    )
    parser.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="S",
        help=f"sizes of the person whose maps are averaged (default: 1; CPM: {scales}; an input "
        "below 368 px is filled at 1.1)",
    )
    parser.add_argument("--flip", action="store_true", help="average with the mirrored image's")


def _batched(iterable, size):
    """Yields lists of `size` items; the last one has what is left."""
    iterator = iter(iterable)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
