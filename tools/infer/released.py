"""Networks that others released, as they are: CPM's and OpenPose's, for one person in a box.

Such a network comes with its own deploy.prototxt. Its belief maps are of its own landmarks, which
become those of ours that it has; a prior lifts them, and the rest is missing. Which maps are of
which landmarks is told by the layer that gives them (KNOWN), or by the user.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prior.errors import InputError
from prior.landmark_sets import (
    BODY_25,
    CPM,
    LANDMARK_SETS,
    OPENPOSE_COCO,
    OPENPOSE_MPI,
    LandmarkSet,
)
from prior.skeleton import HUMAN36M, LANDMARKS
from python_layers import belief_maps
from python_layers.data import crop
from tools.caffe_io.files import read_text
from tools.infer.device import compute_on
from tools.infer.estimator import Estimate, Person, check_weights
from tools.infer.views import mean_maps, variants

# OpenPose's deploy.prototxt has inputs of 1 or 16 px, "defined at runtime": its default is 368, as
# CPM's. So a smaller input than this stands for 368.
LEAST_INPUT = 32
INPUT = 368

# A maximum below it is nobody's landmark. Our choice, and tools.lift's for other detectors: a peak
# of a map that learned from Gaussians of height 1 is above it wherever the network sees something.
LEAST_CONFIDENCE = 0.2

# Of fewer landmarks a lifting would show the prior, not the person; our choice, as in tools.lift.
LEAST_LANDMARKS = 6

# How far outside of a person's box a landmark may lie, in parts of its longer side. Our choice:
# boxes cut off a hand or a foot, but seldom more.
BOX_MARGIN = 0.1


class Known(NamedTuple):
    """A released network: the layer that gives its last belief maps, and how many they are.

    The landmarks' maps come first; the last one is the background.
    """

    name: str
    layer: str
    maps: int
    landmarks: LandmarkSet


# The deploy.prototxt of github.com/shihenw/convolutional-pose-machines-release (for MPII, Leeds,
# and both) and of github.com/CMU-Perceptual-Computing-Lab/openpose, models/pose.
KNOWN = (
    Known("CPM, 14 landmarks of MPII or Leeds", "Mconv5_stage6", 15, CPM),
    Known("CPM's later variant, 14 landmarks of MPII", "Mconv7_stage6", 15, CPM),
    Known("OpenPose COCO", "Mconv7_stage6_L2", 19, OPENPOSE_COCO),
    Known("OpenPose MPI", "Mconv7_stage6_L2", 16, OPENPOSE_MPI),
    Known("OpenPose MPI, 4 stages", "Mconv7_stage4_L2", 16, OPENPOSE_MPI),
    Known("OpenPose BODY_25", "Mconv7_stage1_L1", 26, BODY_25),
)


def is_ours(deploy: Path) -> bool:
    """Whether a network is one of prototxt/, by its first belief maps."""
    return any("beliefs_stage1" in layer.top for layer in _read(deploy).layer)


def landmark_set(text: str) -> LandmarkSet:
    """The LandmarkSet that a user names: by its key, or the landmark of each map, with commas.

    Of the latter those count that have our names; the others, say "-" or "left eye", are left out.
    Raises InputError.
    """
    if text in LANDMARK_SETS:
        return LANDMARK_SETS[text]
    names = tuple(name.strip() for name in text.split(","))
    ours = [name for name in names if name in LANDMARKS]
    if not ours or len(set(ours)) < len(ours):
        raise InputError(
            f"landmarks: expected one of {', '.join(LANDMARK_SETS)}, or names of maps in their "
            f"order, with commas, among them these, once each: {', '.join(LANDMARKS)}; got {text!r}"
        )
    return LandmarkSet("the named landmarks", names, {name: name for name in ours})


class ReleasedNetwork:
    """A released deploy network with its weights.

    landmarks: of its maps, where they are not those of KNOWN. gpu: as of estimator.Network. Raises
    InputError where neither says what the maps are, and what `check_weights` and `compute_on`
    raise.
    """

    def __init__(
        self,
        deploy: Path,
        weights: Path,
        landmarks: LandmarkSet | None = None,
        gpu: int | None = None,
    ) -> None:
        net = _read(deploy)
        self.name, self.maps, self.landmarks = _meaning(deploy, net, landmarks)
        self.image, self.centre = _inputs(deploy, net)
        check_weights(deploy, weights)
        import caffe  # aborts on what check_weights refuses, so it comes after

        compute_on(gpu)
        self.net = caffe.Net(str(deploy), str(weights), caffe.TEST)
        height, width = self.net.blobs[self.image].shape[2:]
        self.size = height if height == width >= LEAST_INPUT else INPUT
        self._reshape(1)
        self.stride = round(self.size / self.net.blobs[self.maps].shape[2])
        self.mirror = _mirror(self.landmarks.names)

    def run(self, images: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """The belief maps (N, S, H, W) of its S landmarks.

        images: (N, 3, size, size), as crop.input_blob; centres: (N, size, size), as
        crop.centre_map, for a network with an input for it.
        """
        self._reshape(len(images))
        blobs = self.net.blobs
        blobs[self.image].data[:, :3] = images
        if self.centre is not None:
            blobs[self.centre].data[:, -1] = centres
        self.net.forward()
        return blobs[self.maps].data[:, : len(self.landmarks.names)].copy()

    def _reshape(self, count: int) -> None:
        for name in {self.image, self.centre or self.image}:
            blob = self.net.blobs[name]
            blob.reshape(count, blob.shape[1], self.size, self.size)
        self.net.reshape()

    def __str__(self) -> str:
        """What it is taken for, for the user to see."""
        table = self.landmarks.table
        between = [
            f"{ours} midway between {' and '.join(theirs)}"
            for ours, theirs in table.items()
            if not isinstance(theirs, str)
        ]
        missing = [name for name in LANDMARKS if name not in table]
        parts = [f"{self.name}: maps {self.maps}", *between]
        return "; ".join([*parts, f"missing: {', '.join(missing) or 'none'}"])


class ReleasedEstimator:
    """Estimates people with a ReleasedNetwork, as estimator.Estimator does with ours.

    scales, flip, subpixel: as there. It lifts nothing: poses are None. least: the height of a
    maximum from which it is a landmark. in_box: take landmarks only within the person's box or
    close to it, since a network without an input for the centre responds to everyone in sight.
    Raises InputError on scales outside 0.1 to 10.
    """

    def __init__(
        self,
        network: ReleasedNetwork,
        *,
        scales: Iterable[float] = (1.0,),
        flip: bool = False,
        subpixel: bool = True,
        least: float = LEAST_CONFIDENCE,
        in_box: bool = False,
    ) -> None:
        self.network, self.subpixel, self.least = network, subpixel, least
        self.skeleton = HUMAN36M
        self.in_box = in_box and network.centre is None
        self.variants = variants(scales, flip)

    def estimates(self, people: Iterable[Person]) -> Iterator[Estimate]:
        """Yields the Estimate of each Person, with one stage.

        A landmark that is missing is NaN, with a peak of 0.
        """
        for person in people:
            points, peak, covariance = self._detect(person)
            peak = np.where(peak >= max(self.least, 1e-9), peak, 0)
            points, peak = self.network.landmarks.to_ours(points[None], peak[None])
            covariance = self.network.landmarks.covariance_to_ours(covariance[None])
            yield Estimate(points, points, None, peak[0], covariance)

    def _detect(self, person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The network's own landmarks (S, 2), px of the image, the maps' maxima (S,), and how
        unsure the landmarks are, (S, 2, 2), px^2."""
        network = self.network
        views = [crop.frame(person.box, network.size, variant) for variant in self.variants]
        images = np.stack([crop.input_blob(crop.warp(person.image, view)) for view in views])
        maps = network.run(images, np.stack([crop.centre_map(view) for view in views]))
        target, stride = views[0], network.stride
        if self.variants != [crop.PLAIN]:
            target, stride = crop.frame(person.box, network.size), 1
            maps = mean_maps(
                maps, views, target, network.stride, mirror=network.mirror, background=None
            )[None]
        if self.in_box:
            maps = np.where(_near(person.box, target, maps.shape[2:], stride), maps, 0)
        points, peak = belief_maps.argmax(maps, self.subpixel, len(network.landmarks.names))
        # CPM and OpenPose are trained with CPM's labels.
        sigma = belief_maps.LABEL_SIGMA / stride
        covariance = stride**2 * belief_maps.covariance(maps, points, sigma)[0]
        points = crop.to_image(belief_maps.to_input(points[0], stride), target)
        return (
            points.astype(float),
            peak[0].astype(float),
            crop.covariance_to_image(covariance, target),
        )


def _read(deploy: Path) -> Any:
    from caffe.proto import caffe_pb2

    return read_text(deploy, caffe_pb2.NetParameter())


def _meaning(deploy: Path, net: Any, landmarks: LandmarkSet | None) -> tuple[str, str, LandmarkSet]:
    """(what it is, the blob of its belief maps, their landmarks) of a NetParameter."""
    outputs = {
        layer.name: (layer.top[0], layer.convolution_param.num_output)
        for layer in net.layer
        if layer.type == "Convolution"
    }
    for known in KNOWN:
        top, maps = outputs.get(known.layer, ("", 0))
        if maps == known.maps and (landmarks is None or len(landmarks.names) <= maps):
            return known.name, top, landmarks or known.landmarks
    ends = _ends(net)
    if landmarks is not None:
        enough = [top for top, channels in ends.items() if channels >= len(landmarks.names)]
        if len(enough) == 1:
            return landmarks.name, enough[0], landmarks
    named = ", ".join(f"{top} ({channels} channels)" for top, channels in ends.items())
    expected = ", ".join(f"{known.layer} ({known.maps}, {known.name})" for known in KNOWN)
    if landmarks is not None:
        raise InputError(
            f"{deploy}: expected one output with a map for each of {len(landmarks.names)} "
            f"landmarks, got {named}"
        )
    raise InputError(
        f"{deploy}: not a network that is known: its outputs are {named}; expected "
        f"beliefs_stage1 (of prototxt/) or one of the layers {expected}; of another network say "
        "with --landmarks what its maps are"
    )


def _ends(net: Any) -> dict[str, int]:
    """{blob that no other layer reads: its channels}, of a NetParameter."""
    channels: dict[str, int] = dict(zip(net.input, _dims(net, 1), strict=False))
    ends: dict[str, int] = {}
    for layer in net.layer:
        read = [b for b in layer.bottom if b not in layer.top]  # else it works in place
        for bottom in read:
            ends.pop(bottom, None)
        sums = sum(channels.get(bottom, 0) for bottom in layer.bottom)
        if layer.type in ("Convolution", "Deconvolution"):
            sums = layer.convolution_param.num_output
        elif layer.type == "Input":
            sums = layer.input_param.shape[0].dim[1]
        elif layer.type == "InnerProduct":
            sums = layer.inner_product_param.num_output
        for top in layer.top:
            channels[top] = ends[top] = sums
    return ends


def _dims(net: Any, axis: int) -> list[int]:
    """The length of each input of the old form (input_dim or input_shape) along an axis."""
    if net.input_shape:
        return [shape.dim[axis] for shape in net.input_shape]
    return list(net.input_dim[axis::4])


def _inputs(deploy: Path, net: Any) -> tuple[str, str | None]:
    """(blob of the image, blob with the centre map as its last channel or None)."""
    channels = dict(zip(net.input, _dims(net, 1), strict=False))
    for layer in net.layer:
        if layer.type == "Input":
            shapes = layer.input_param.shape
            channels |= {
                top: shapes[min(i, len(shapes) - 1)].dim[1] for i, top in enumerate(layer.top)
            }
    by_count = {count: name for name, count in channels.items()}
    if sorted(channels.values()) == [4]:  # CPM: image and centre map in one blob
        return by_count[4], by_count[4]
    if sorted(channels.values()) in ([3], [1, 3]):  # OpenPose has the image alone
        return by_count[3], by_count.get(1)
    inputs = ", ".join(f"{name} ({count} channels)" for name, count in channels.items())
    raise InputError(
        f"{deploy}: expected an input with 3 channels (the image), or 4 (with the centre map), or "
        f"one of each, got {inputs or 'no input'}"
    )


def _mirror(names: tuple[str, ...]) -> np.ndarray:
    """For each name the index of that on the other side of the body: left x, LX or Lx."""
    swapped = {"left": "right", "right": "left", "L": "R", "R": "L"}

    def other(name: str) -> str:
        for side, across in swapped.items():
            for at in [i for i in range(len(name)) if name.startswith(side, i)]:
                opposite = name[:at] + across + name[at + len(side) :]
                if opposite in names:
                    return opposite
        return name

    return np.array([names.index(other(name)) for name in names])


def _near(box: np.ndarray, view: crop.Crop, shape: tuple[int, int], stride: int) -> np.ndarray:
    """Which cells (H, W) of a view's maps lie in a person's box or BOX_MARGIN around it."""
    x, y = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    cells = crop.to_image(belief_maps.to_input(np.stack([x, y], axis=-1), stride), view)
    box = np.asarray(box, dtype=float)
    margin = BOX_MARGIN * box[2:].max()
    low, high = box[:2] - margin, box[:2] + box[2:] + margin
    return ((cells >= low) & (cells <= high)).all(axis=-1)
