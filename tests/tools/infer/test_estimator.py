"""The Estimator with a network that is always right: what it does with scales, flips and cameras.

No Caffe: the network gives the labels of known landmarks, in whatever way it is shown them. Real
networks are in tests/caffe/test_inference.py.
"""

import argparse

import numpy as np
import pytest

import prior
from prior.camera import look_at
from prior.skeleton import HUMAN36M, L
from python_layers import belief_maps
from python_layers.data import crop
from tests.poses import random_poses
from tools.infer import estimator
from tools.infer.estimator import Estimator, Person
from tools.infer.views import mean_maps

SIZE, STRIDE, STAGES = 368, 8, 3
BOX = np.array([40.0, 20, 60, 110])
INTRINSICS = np.array([[200.0, 0, 80], [0, 200, 80], [0, 0, 1]])
NARROWER = 0.1  # a stage's landmarks are this much nearer to the middle along x than the last's
LOWER = 0.15  # those after fusion are this much nearer to it along y


class Perfect:
    """Stands for a Network: its maps are labels of landmarks that differ from stage to stage
    and by fusion (`where`). Keeps the inputs that it was given."""

    size, stride, stages, lifts, batch = SIZE, STRIDE, STAGES, True, 8
    lifting = {"rotations": 80, "noise_mm": None, "model": "none.npz"}
    fusion = (0.5,) * STAGES
    sigma = 7.0
    skeleton = HUMAN36M

    def __init__(self, points, variants):
        self.points, self.variants, self.inputs = points, variants, []

    def maps_before(self, t):
        return f"before {t}"

    def maps_after(self, t):
        return f"after {t}"

    def pose(self, t):
        return f"pose {t}"

    def where(self, name):
        """The landmarks (17, 2), px of the image, of the maps of a name."""
        kind, stage = name.split()
        middle = self.points.mean(axis=0)
        squeeze = [1 - NARROWER * int(stage), 1 - LOWER * (kind == "after")]
        return middle + (self.points - middle) * squeeze

    def run(self, inputs, names):
        self.inputs += inputs
        return {name: self._maps(name, len(inputs)) for name in names}

    def _maps(self, name, count):
        maps = []
        for i in range(count):
            view = crop.frame(BOX, SIZE, self.variants[i % len(self.variants)])
            points = belief_maps.to_map(crop.landmarks(self.where(name), view), STRIDE)
            side = SIZE // STRIDE
            maps.append(belief_maps.render(points[None], side, side, 7 / STRIDE)[0])
        return np.stack(maps)


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(60), components=2, basis=3, solver="closed-form")


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform([50, 40], [90, 110], size=(L, 2))


@pytest.fixture
def person():
    """One that the camera's axis does not go through."""
    image = np.random.default_rng(1).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    return Person(image, BOX, look_at([0, 1.0, 3], [0, 0.9, 0]), INTRINSICS)


def test_scales_that_cpm_takes():
    """Wei et al. 2016 show a person from 0.7 to 1.3 of the size of training; five are ours."""
    assert estimator.CPM_SCALES == (0.7, 0.85, 1.0, 1.15, 1.3)
    assert estimator.CPM_SCALES[0] == crop.CPM_RANGES.scale[0]
    assert estimator.CPM_SCALES[-1] == crop.CPM_RANGES.scale[1]
    parser = argparse.ArgumentParser()
    estimator.add_options(parser)
    assert "0.7 0.85 1.0 1.15 1.3" in " ".join(parser.format_help().split())
    options = parser.parse_args([])
    assert options.scales == [1.0] and not options.flip and options.subpixel


def test_every_scale_is_shown_plain_and_mirrored():
    variants = estimator.variants((0.7, 1.3), flip=True)
    assert [(v.scale, v.flip) for v in variants] == [(0.7, 0), (0.7, 1), (1.3, 0), (1.3, 1)]
    assert [(v.scale, v.flip) for v in estimator.variants((0.7, 1.3), flip=False)] == [
        (0.7, False),
        (1.3, False),
    ]
    assert all(v.angle == 0 and v.shift == (0, 0) for v in variants)


@pytest.mark.slow
def test_the_network_is_shown_each_variant_before_its_own_camera(points, person, model):
    variants = estimator.variants((0.8, 1.2), flip=True)
    network = Perfect(points, variants)
    list(Estimator(network, scales=(0.8, 1.2), flip=True, model=model).estimates([person]))
    assert len(network.inputs) == 4
    for (image, centre, camera), variant in zip(network.inputs, variants, strict=True):
        view = crop.frame(BOX, SIZE, variant)
        np.testing.assert_array_equal(image, crop.input_blob(crop.warp(person.image, view)))
        np.testing.assert_array_equal(centre, crop.centre_map(view))
        expected = crop.camera(person.rotation, view, INTRINSICS)
        np.testing.assert_array_equal(camera, expected)
        assert np.abs(camera - crop.camera(person.rotation, view)).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("flip", [False, True])
def test_averaged_maps_give_each_stages_landmarks_and_are_lifted_again(points, person, model, flip):
    """Poses: of every stage's CNN maps, as the network's own lifting, then of the last fused."""
    scales = (0.7, 1.0, 1.3)
    network = Perfect(points, estimator.variants(scales, flip))
    (estimate,) = Estimator(network, scales=scales, flip=flip, model=model).estimates([person])
    for t in range(STAGES):
        np.testing.assert_allclose(estimate.beliefs[t], network.where(f"before {t}"), atol=0.2)
        np.testing.assert_allclose(estimate.points[t], network.where(f"after {t}"), atol=0.2)
    assert estimate.poses.shape == (STAGES + 1, L, 3)
    lifted = [*estimate.beliefs, estimate.points[-1]]
    camera = crop.camera(person.rotation, crop.frame(BOX, SIZE), INTRINSICS)
    expected = prior.lift(np.stack(lifted), model, camera=camera, rotations=80).pose
    np.testing.assert_allclose(estimate.poses, expected, atol=0.5)
    # The stages differ, so another order would be noticed.
    assert np.abs(np.diff(expected, axis=0)).reshape(STAGES, -1).max(axis=1).min() > 5
    assert estimate.peak.shape == (L,) and ((estimate.peak > 0.8) & (estimate.peak < 1.05)).all()


def test_beyond_its_border_a_view_shows_nobody():
    """Enlarged to 2, a view shows the middle half of the plain one: around it is background."""
    large = crop.frame(BOX, SIZE, crop.Augmentation(scale=2.0))
    side = SIZE // STRIDE
    maps = np.full((1, L + 1, side, side), 0.3, np.float32)
    mean = mean_maps(maps, [large], crop.frame(BOX, SIZE), STRIDE, np.arange(L + 1), L)
    corner = mean[:, :40, :40]
    assert (corner[:L] == 0).all() and (corner[L] == 1).all()
    middle = mean[:, SIZE // 2, SIZE // 2]
    np.testing.assert_allclose(middle, 0.3, atol=1e-6)


@pytest.mark.slow
def test_a_flip_alone_is_averaged_too(points, person, model):
    network = Perfect(points, estimator.variants((1.0,), True))
    (estimate,) = Estimator(network, flip=True, model=model).estimates([person])
    np.testing.assert_allclose(estimate.points[-1], network.where("after 2"), atol=0.2)


@pytest.mark.slow
def test_lifting_again_takes_the_networks_own_parameters(points, person, model):
    network = Perfect(points, estimator.variants((0.9, 1.1), False))
    network.lifting = {"rotations": 8, "noise_mm": 0, "criterion": "cost", "subpixel": False}
    (estimate,) = Estimator(network, scales=(0.9, 1.1), model=model).estimates([person])
    camera = crop.camera(person.rotation, crop.frame(BOX, SIZE), INTRINSICS)
    options = {"camera": camera, "rotations": 8, "noise_mm": 0, "criterion": "cost"}
    expected = prior.lift(estimate.points[-1:], model, **options).pose[0]
    np.testing.assert_allclose(estimate.poses[-1], expected, atol=0.5)
    others = prior.lift(estimate.points[-1:], model, camera=camera).pose[0]
    assert np.abs(others - expected).max() > 5


@pytest.mark.slow
def test_without_subpixel_a_landmark_is_the_most_confident_cell(points, person):
    """5.2 of the paper; averaged maps are of the input's size, a cell is a pixel of the input."""
    network = Perfect(points, estimator.variants((0.9, 1.1), False))
    network.lifts = False
    (estimate,) = Estimator(network, scales=(0.9, 1.1), subpixel=False).estimates([person])
    cells = crop.to_input(estimate.points[-1], crop.frame(BOX, SIZE))
    np.testing.assert_allclose(cells, cells.round(), atol=1e-6)
    (fine,) = Estimator(network, scales=(0.9, 1.1)).estimates([person])
    cells = crop.to_input(fine.points[-1], crop.frame(BOX, SIZE))
    assert np.abs(cells - cells.round()).max() > 0.05
