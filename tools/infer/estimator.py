"""Runs a trained network on people in images, as CPM is tested: by box, at one or more scales.

Where a person is shown in one way, the network's own lifting is the answer. Where in several
(scales, mirrored), the maps of all are brought into the input of the plain one and averaged there.
The landmarks are then taken from the averaged maps, and lifted again.
"""

import argparse
import itertools
import json
from typing import NamedTuple

import numpy as np

import prior
from prior.errors import InputError
from prototxt.machines import MACHINES
from prototxt.named import check_same, skeleton_of
from python_layers import belief_maps
from python_layers.data import crop
from tools.arguments import add_gpu, natural, positive
from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import CaffeFileError, read_name, read_net, read_weights
from tools.infer.device import BATCH, batch_of, compute_on
from tools.infer.pool import Pool, batched, default_workers
from tools.infer.staged import Staged
from tools.infer.views import mean_maps, variants

# Parameters of the lifting layer that are prior.Lifter's.
LIFTER_OPTIONS = ("rotations", "noise_mm", "criterion")
# Sizes at which CPM shows a person when it is tested: the range is CPM's, the five in it are our
# choice.
CPM_SCALES = (0.7, 0.85, 1.0, 1.15, 1.3)


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

    points: np.ndarray  # (T, L, 2), of the maps that leave each stage
    beliefs: np.ndarray  # (T, L, 2), of the CNN's maps, before fusion
    # (T + 1, L, 3), mm, world axes: of each stage, then of the final lifting; None without lifting,
    # and of a skeleton without a vertical, whose poses are in axes of their own
    poses: np.ndarray | None
    peak: np.ndarray  # (L,), the maxima of the last maps
    covariance: np.ndarray  # (T, L, 2, 2), px^2: how unsure `points` are, by the maps


class StageMaps(NamedTuple):
    """What the stages of a network with lifting make of one person, one after another."""

    beliefs: list[np.ndarray]  # (L + 1, H, W), the CNN's maps
    fused: list[np.ndarray]  # (L + 1, H, W), the maps after fusion
    projected: list[np.ndarray]  # (L, 2), px of the image: the 3D pose projected (equation 5)
    poses: list[np.ndarray]  # (L, 3), mm, world axes


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


class Network(Staged):
    """A deploy network of prototxt/ with its weights.

    gpu: the number of the GPU that it runs on; None: the CPU. batch: how many inputs run at once;
    None: BATCH on the CPU, what fits its memory on a GPU. Raises what `check_weights` and
    `compute_on` raise, and InputError on another network, or where network, weights and the pose
    model of its lifting are not of one skeleton.
    """

    def __init__(self, deploy, weights, gpu=None, batch=None):
        import caffe

        text = read_net(deploy)
        layers, skeleton = text.layer, skeleton_of(text.name, deploy)
        if not any("beliefs_stage1" in layer.top for layer in layers):
            raise InputError(
                f"{deploy}: expected a network of prototxt/, with beliefs_stage1; for a released "
                "one there is tools.infer.predict"
            )
        self.lifting = {}
        for layer in layers:
            if layer.name == "lifting":
                self.lifting = json.loads(layer.python_param.param_str)
                model = self.lifting["model"]
                check_same(skeleton, prior.load(model).skeleton, deploy, model)
        check_same(skeleton, skeleton_of(read_name(weights), weights), deploy, weights)
        check_weights(deploy, weights)
        compute_on(gpu)
        self.net = net = caffe.Net(str(deploy), str(weights), caffe.TEST)
        super().__init__(net.blobs, skeleton)
        maps = net.blobs["beliefs_stage1"].shape[1]
        if maps != len(skeleton) + 1:
            raise InputError(
                f"{deploy}: expected {len(skeleton) + 1} maps, of its landmarks and the "
                f"background, got {maps}; one of other landmarks has the skeleton as its name: "
                "generate it with prototxt.generate --prior"
            )
        self.size = net.blobs["data"].shape[2]
        self.batch = batch or batch_of(net, gpu)
        self.stride = self.size // net.blobs["beliefs_stage1"].shape[2]
        self.sigma = label_sigma(self.size)
        for layer in layers:
            if layer.name == "projection_stage1":
                self.sigma = self.stride * json.loads(layer.python_param.param_str)["sigma"]
        self.fusion = [
            float(net.params[f"fusion_stage{t + 1}"][0].data.mean())
            for t in range(self.stages)
            if f"fusion_stage{t + 1}" in net.params
        ]

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
        for chunk in batched(inputs, self.batch):
            for i, name in enumerate(("data", "center_map", "camera")):
                if name not in self.blobs:
                    continue  # a pose machine has no camera, nor has who lifts in all rotations
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
    """What maps say: points (L, 2), px of the input; peak (L,); covariance (L, 2, 2), px^2."""

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


class Shown(NamedTuple):
    """How a person is shown to a network: V views."""

    views: list[crop.Crop]
    target: crop.Crop  # the plain view, in whose input px the landmarks are
    images: list[np.ndarray]  # (S, S, 3) uint8, BGR
    cameras: list[np.ndarray]  # (3, 3), that see the views
    camera: np.ndarray  # (3, 3), that sees the plain view


class Estimator:
    """Estimates people with a Network: many at a time, with the results of one by one.

    scales: sizes at which a person is shown; 1 is the size in training. flip: also show the mirror
    image. subpixel: take landmarks at fractions of the maps' cells; False takes the most confident
    cell, as the paper does. model: the PriorModel that lifts the landmarks of averaged maps, by
    default the one that the network's layer names. workers: processes that make the views and read
    the maps while the network runs. skeleton: whose landmarks the Estimates have. Raises InputError
    on scales outside 0.1 to 10, on a flip of a skeleton without pairs, and what prior.load raises.
    """

    def __init__(self, network, *, scales=(1.0,), flip=False, subpixel=True, model=None, workers=0):
        self.network, self.subpixel, self.workers = network, subpixel, workers
        self.skeleton = network.skeleton
        if flip and not self.skeleton.mirrors:
            raise InputError("flip: a skeleton without pairs has no mirror image; leave it out")
        self.variants = variants(scales, flip)
        self.averages = self.variants != [crop.PLAIN]
        self.lifter = None
        # Without a vertical a pose is in axes of its own, which no blob says.
        lifts = network.lifts and self.skeleton.vertical
        if self.averages and lifts:
            model = model or prior.load(network.lifting["model"])
            options = {name: network.lifting.get(name) for name in LIFTER_OPTIONS}
            options = {name: value for name, value in options.items() if value is not None}
            self.lifter = prior.Lifter(model, **options)
        stages = range(network.stages)
        self.before = [network.maps_before(t) for t in stages]
        self.after = [network.maps_after(t) for t in stages]
        self.poses = []
        if lifts and not self.averages:
            self.poses = [*(network.pose(t) for t in stages), "pose"]

    def estimates(self, people, person_of=None):
        """Yields the Estimate of each Person of an iterable.

        person_of: a function that gives the Person of an item of it, called by the workers.
        """

        def show(item):
            return self.show(item if person_of is None else person_of(item))

        size = max(1, self.network.batch // len(self.variants))
        with Pool(self.workers, show=show, read=self.read) as pool:
            last = None  # the group whose maps are read while the network has the next one
            for group in batched(pool.ahead("show", people, size + 2 * self.workers), size):
                blobs = self.network.run(
                    [inputs for shown in group for inputs in _inputs(shown)],
                    {*self.before, *self.after, *self.poses},
                )
                reading = [
                    pool.submit("read", shown, self._own(blobs, i)) for i, shown in enumerate(group)
                ]
                if last:
                    yield from self._finished(*last)
                last = group, blobs, reading
            if last:
                yield from self._finished(*last)

    def show(self, person):
        """How a Person is Shown."""
        views = [crop.frame(person.box, self.network.size, variant) for variant in self.variants]
        target = crop.frame(person.box, self.network.size)
        cameras = [crop.camera(person.rotation, v, person.intrinsics) for v in [*views, target]]
        images = [crop.warp(person.image, view) for view in views]
        return Shown(views, target, images, cameras[:-1], cameras[-1])

    def read(self, shown, blobs):
        """{name: Landmarks} of a person's maps {name: (V, L + 1, H, W)}; of several views, of the
        mean of their maps."""
        return {name: self._landmarks(maps, shown) for name, maps in blobs.items()}

    def _landmarks(self, maps, shown):
        stride, count = self.network.stride, len(self.skeleton)
        if self.averages:
            mirror, background = np.append(self.skeleton.mirror, count), count
            maps = mean_maps(maps, shown.views, shown.target, stride, mirror, background)[None]
            stride = 1
        points, peak = belief_maps.argmax(maps, self.subpixel, count)
        sigma = self.network.sigma / stride
        covariance = stride**2 * belief_maps.covariance(maps, points, sigma)
        return Landmarks(belief_maps.to_input(points[0], stride), peak[0], covariance[0])

    def _own(self, blobs, i):
        """The maps of person i of a group."""
        rows = slice(i * len(self.variants), (i + 1) * len(self.variants))
        return {name: blobs[name][rows] for name in {*self.before, *self.after}}

    def _finished(self, group, blobs, reading):
        """Yields the Estimates of a group whose maps are being read."""
        landmarks = [result() for result in reading]
        poses = [None] * len(group)
        if self.poses:
            poses = np.stack([blobs[name] for name in self.poses], axis=1)
        elif self.lifter is not None:
            poses = self._lift(group, landmarks)
        for shown, read, pose in zip(group, landmarks, poses, strict=True):
            yield self._estimate(read, shown.target, pose)

    def _lift(self, group, landmarks):
        """The poses (people, T + 1, L, 3) of a group's averaged landmarks, all lifted at once."""
        names = [*self.before, self.after[-1]]
        chosen = [read[name] for read in landmarks for name in names]
        points, _, covariance = (np.stack(values) for values in zip(*chosen, strict=True))
        lifted = self.lifter.lift(
            points.astype(float),
            camera=np.repeat([shown.camera for shown in group], len(names), axis=0),
            covariance=covariance if self.network.lifting.get("covariance") else None,
        )
        return lifted.pose.reshape(len(group), len(names), *lifted.pose.shape[1:])

    def _estimate(self, landmarks, view, poses):
        """The Estimate of {name of maps: its Landmarks} in the input of a Crop."""
        after = [landmarks[name] for name in self.after]
        before = [landmarks[name] for name in self.before]
        return Estimate(
            crop.to_image(np.stack([own.points for own in after]), view),
            crop.to_image(np.stack([own.points for own in before]), view),
            poses,
            after[-1].peak,
            crop.covariance_to_image(np.stack([own.covariance for own in after]), view),
        )


def _inputs(shown):
    """Of each view (data, center_map, camera). No view is shifted: the person is in its middle."""
    centre = crop.centre_map(shown.target)
    for image, camera in zip(shown.images, shown.cameras, strict=True):
        yield crop.input_blob(image), centre, camera


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
    add_gpu(parser)
    parser.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help=f"inputs of the network that run at once, all scales and flips counted (default: "
        f"{BATCH}; on a GPU as many as its memory takes)",
    )
    parser.add_argument(
        "--workers",
        type=natural,
        default=default_workers(),
        metavar="N",
        help="processes that decode, crop and read the maps beside the network; 0: none",
    )
