"""A trained network on people in images, as CPM is tested: by box, at one or more scales.

With more than one view of a person (scales, flip) the maps of all are brought into the input of
the plain one, averaged there, and then the landmarks taken and lifted; with one, the network's own
lifting is the answer.
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
from python_layers import belief_maps
from python_layers.data import crop
from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import CaffeFileError, read_text, read_weights

BATCH = 8
# Parameters of the lifting layer that are prior.Lifter's.
LIFTER_OPTIONS = ("rotations", "noise_mm", "criterion")
# CPM's range at test time; five of them are our choice.
CPM_SCALES = (0.7, 0.85, 1.0, 1.15, 1.3)
# For each of our maps, that of the other side of the body; the background is its own.
OURS_MIRRORED = np.append(skeleton.MIRROR, skeleton.L)


class Person(NamedTuple):
    """One to estimate: image (H, W, 3) uint8 BGR; box x, y, width, height, px; rotation (3, 3)
    world to camera; intrinsics (3, 3) px, or None."""

    image: np.ndarray
    box: np.ndarray
    rotation: np.ndarray
    intrinsics: np.ndarray | None = None


def annotated(people, i):
    """The Person of record i of annotations.Annotations."""
    intrinsics = people.intrinsics[i] if people.has_camera(i) else None
    return Person(people.image(i), people.boxes[i], people.rotations[i], intrinsics)


class Estimate(NamedTuple):
    """Of one person, by T stages: points (T, 17, 2) px, of the maps that leave each stage; beliefs
    (T, 17, 2) px, of the CNN's maps before fusion; poses (T + 1, 17, 3) mm, world axes, of each
    stage and the final lifting, or None without lifting; peak (17,), the last maps' maxima."""

    points: np.ndarray
    beliefs: np.ndarray
    poses: np.ndarray | None
    peak: np.ndarray


class StageMaps(NamedTuple):
    """What the stages of a network with lifting make of one person, a list each: beliefs, the CNN's
    maps (18, H, W), and fused, those after fusion; projected (17, 2), the 3D pose of the stage in
    px of the image (equation 5), and poses (17, 3), mm, world axes."""

    beliefs: list[np.ndarray]
    fused: list[np.ndarray]
    projected: list[np.ndarray]
    poses: list[np.ndarray]


def check_weights(deploy, weights):
    """That the weights are for this network. Raises CaffeError or CaffeFileError."""
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
    """The box with which a network's input of `size` px covers a whole image of `shape`
    (H, W, ...), around `centre` (x, y), px: the one it is to look for is there. None: the
    image's."""
    height, width = shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    centre = middle if centre is None else np.asarray(centre, dtype=float)
    reach = max(width, height) + 2 * np.abs(centre - middle).max()
    side = crop.person_fraction(size) * reach
    return np.array([*(centre - side / 2), side, side])


class Network:
    """A deploy network of prototxt/ with its weights. Raises what `check_weights` raises, and
    InputError on another network."""

    def __init__(self, deploy, weights):
        import caffe

        layers = read_text(deploy, caffe.proto.caffe_pb2.NetParameter()).layer
        if not any("beliefs_stage1" in layer.top for layer in layers):
            raise InputError(
                f"{deploy}: expected a network of prototxt/, with beliefs_stage1; for a released "
                "one there is tools.infer.predict"
            )
        check_weights(deploy, weights)  # Caffe would abort on what it refuses
        caffe.set_mode_cpu()
        self.net = net = caffe.Net(str(deploy), str(weights), caffe.TEST)
        self.size = net.blobs["data"].shape[2]
        # Caffe adds blobs of its own, with longer names, where one is read twice.
        self.stages = sum(re.fullmatch(r"beliefs_stage\d+", name) is not None for name in net.blobs)
        self.lifts = "pose" in net.blobs
        self.stride = self.size // net.blobs["beliefs_stage1"].shape[2]
        self.lifting = {}
        for layer in layers:
            if layer.name == "lifting":
                self.lifting = json.loads(layer.python_param.param_str)
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


def inputs_of(person, view):
    """(data, center_map, camera) with which a network is shown a Person in a Crop."""
    return (
        crop.input_blob(crop.warp(person.image, view)),
        crop.centre_map(view),
        crop.camera(person.rotation, view, person.intrinsics),
    )


class Estimator:
    """Estimates people, one after another.

    scales: sizes at which a person is shown, 1 the training's; flip: also mirrored. subpixel:
    landmarks at fractions of the maps' cells; False is the paper's most confident cell. model:
    prior.PriorModel, with which averaged maps are lifted (asked for only then).
    Raises ValueError on scales of no use or a missing model.
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
        names = {self.network.maps_before(t) for t in stages}
        names |= {self.network.maps_after(t) for t in stages}
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

    def _single(self, view, blobs):
        """From the network's own maps and poses."""
        network, stages = self.network, range(self.network.stages)

        def landmarks(name):
            points, peak = belief_maps.argmax(blobs[name], self.subpixel)
            return crop.to_image(belief_maps.to_input(points[0], network.stride), view), peak[0]

        poses = None
        if network.lifts:
            poses = np.stack([*(blobs[network.pose(t)][0] for t in stages), blobs["pose"][0]])
        return Estimate(
            np.stack([landmarks(network.maps_after(t))[0] for t in stages]),
            np.stack([landmarks(network.maps_before(t))[0] for t in stages]),
            poses,
            landmarks(network.maps_after(stages[-1]))[1],
        )

    def _averaged(self, person, views, blobs):
        """From the mean of the maps of all views, in the input px of the plain one."""
        network, stages = self.network, range(self.network.stages)
        target = crop.frame(person.box, network.size)
        landmarks = {}
        for name, maps in blobs.items():
            mean = mean_maps(maps, views, target, network.stride)
            points, peak = belief_maps.argmax(mean[None], self.subpixel)
            landmarks[name] = points[0], peak[0]
        poses = None
        if self.lifter is not None:
            names = [*map(network.maps_before, stages), network.maps_after(stages[-1])]
            camera = crop.camera(person.rotation, target, person.intrinsics)
            points = np.stack([landmarks[name][0] for name in names]).astype(float)
            poses = self.lifter.lift(points, camera=np.stack([camera] * len(points))).pose
        last = network.maps_after(stages[-1])
        return Estimate(
            np.stack([crop.to_image(landmarks[network.maps_after(t)][0], target) for t in stages]),
            np.stack([crop.to_image(landmarks[network.maps_before(t)][0], target) for t in stages]),
            poses,
            landmarks[last][1],
        )


def variants(scales, flip):
    """How a person is shown: an Augmentation for each scale and, with `flip`, its mirror image.
    Raises InputError on scales of no use."""
    scales = list(scales)
    if not scales or not all(0.1 <= scale <= 10 for scale in scales):
        raise InputError(f"scales: expected numbers of 0.1 to 10, got {scales}")
    flips = (False, True) if flip else (False,)
    return [crop.Augmentation(scale=s, flip=f) for s in scales for f in flips]


def mean_maps(maps, views, target, stride, mirror=OURS_MIRRORED, background=skeleton.L):
    """Mean (L + 1, S, S) of the maps (V, L + 1, H, W) of V views, in the input px of the Crop
    `target`; of a flipped view left and right are swapped. Bicubic, as CPM; beyond its border a
    view shows nobody: 0, and background 1. Of other landmarks than ours, mirror: for each map that
    of the other side; background: which map that is, or None."""
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
    """The options of Estimator, for the programs that use it."""
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
    """Lists of `size` items, the last one with what is left."""
    iterator = iter(iterable)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
