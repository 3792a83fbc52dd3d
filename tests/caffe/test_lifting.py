"""The lifting layer in Caffe (equations 4 and 5): values and gradients."""

import shutil

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import prior
from prior import camera as cameras
from prior.skeleton import L
from python_layers import belief_maps
from tests import poses
from tests.caffe.layer_net import (
    SIGMA,
    TILTED,
    H,
    N,
    W,
    differences,
    lifting,
    run,
    seen_by,
)
from tests.hands import HAND, random_hands


def test_layers_of_one_model_share_their_tables_and_another_file_is_read_anew(tmp_path, model):
    copy = tmp_path / "prior.npz"
    shutil.copy(model, copy)

    def lifter(**more):
        made = lifting(tmp_path, {"model": str(copy)} | more)
        return made.layers[list(made._layer_names).index("layer")].lifter

    first = lifter()
    assert lifter() is first and lifter(rotations=20) is not first
    prior.fit(poses.random_poses(50), components=1, basis=2, solver="closed-form").save(copy)
    assert lifter().model.components == 1


@pytest.mark.parametrize("subpixel", [False, True])
@pytest.mark.parametrize("options", [{}, {"noise_mm": 0, "criterion": "cost"}])
def test_lifting_is_argmax_then_lift(tmp_path, model, subpixel, options):
    parameters = {"model": model, "subpixel": subpixel} | options
    layer = lifting(tmp_path, parameters, camera=True, pose=True)
    maps = seen_by(TILTED)
    run(layer, maps=maps, camera=TILTED)
    points, _ = belief_maps.argmax(maps, subpixel)
    lifted = prior.lift(points, prior.load(model), camera=TILTED.astype(np.float32), **options)
    assert lifted.ok.all()
    np.testing.assert_allclose(layer.blobs["landmarks"].data, lifted.projection, atol=1e-4)
    np.testing.assert_allclose(layer.blobs["pose"].data, lifted.pose, atol=0.1)


def test_lifting_of_another_skeleton_has_its_landmarks(tmp_path):
    hands = random_hands(200)
    path = str(tmp_path / "hand.npz")
    prior.fit(hands, skeleton=HAND, components=1, basis=4, solver="closed-form").save(path)
    points = hands[:N, :, :2] * [1, -1]
    points = points / np.abs(points).max() * 4.5 + [(W - 1) / 2, (H - 1) / 2]
    maps = belief_maps.render(points, H, W, SIGMA)
    assert maps.shape[1] == 22
    layer = lifting(tmp_path, {"model": path, "subpixel": True}, pose=True, maps=maps.shape)
    run(layer, maps=maps)
    cells, _ = belief_maps.argmax(maps, True, landmarks=21)
    lifted = prior.lift(cells, prior.load(path))
    np.testing.assert_allclose(layer.blobs["landmarks"].data, lifted.projection, atol=1e-4)
    np.testing.assert_allclose(layer.blobs["pose"].data, lifted.pose, atol=0.1)


def test_lifting_weighs_landmarks_by_their_beliefs(tmp_path, model):
    """Those of half the maps are blurred, and count less."""
    parameters = {"model": model, "subpixel": True, "covariance": True, "sigma": SIGMA}
    layer = lifting(tmp_path, parameters, camera=True, pose=True)
    maps = seen_by(TILTED).copy()
    maps[:, ::2] = gaussian_filter(maps[:, ::2], 1.5, axes=(2, 3))
    run(layer, maps=maps, camera=TILTED)
    points, _ = belief_maps.argmax(maps, subpixel=True)
    covariance = belief_maps.covariance(maps, points, SIGMA)
    camera = TILTED.astype(np.float32)
    lifted = prior.lift(points, prior.load(model), camera=camera, covariance=covariance)
    assert lifted.ok.all()
    np.testing.assert_allclose(layer.blobs["landmarks"].data, lifted.projection, atol=1e-3)
    np.testing.assert_allclose(layer.blobs["pose"].data, lifted.pose, atol=0.1)
    alike = prior.lift(points, prior.load(model), camera=camera)
    off = [np.linalg.norm(a.projection - points, axis=2).mean(axis=0) for a in (lifted, alike)]
    share = [sharp.mean() / all_.mean() for sharp, all_ in ((o[1::2], o) for o in off)]
    assert share[0] < 0.9 * share[1]


def test_lifting_without_a_camera_takes_a_level_one(tmp_path, model):
    maps = seen_by(np.stack([cameras.LEVEL] * N))
    alone = lifting(tmp_path, {"model": model}, pose=True)
    run(alone, maps=maps)
    with_camera = lifting(tmp_path, {"model": model}, camera=True, pose=True)
    run(with_camera, maps=maps, camera=cameras.LEVEL)
    for top in "landmarks", "pose":
        np.testing.assert_array_equal(alone.blobs[top].data, with_camera.blobs[top].data)
    run(with_camera, maps=maps, camera=TILTED)
    assert np.abs(alone.blobs["pose"].data - with_camera.blobs["pose"].data).max() > 10


@pytest.mark.parametrize("backward, scale", [("scale-held", "held"), ("exact", "exact")])
@pytest.mark.parametrize("pose", [False, True])
def test_lifting_backward_is_the_chain_of_both_gradients(
    tmp_path, model, rng, backward, scale, pose
):
    parameters = {"model": model, "backward": backward, "sigma": SIGMA, "noise_mm": 15}
    layer = lifting(tmp_path, parameters, camera=True, pose=pose)
    maps = seen_by(TILTED)
    gradients = {"landmarks": rng.normal(size=(N, L, 2))}
    if pose:
        gradients["pose"] = rng.normal(size=(N, L, 3)) / 100
    run(layer, gradients, maps=maps, camera=TILTED)
    lifter = prior.Lifter(prior.load(model), noise_mm=15)
    points, _ = belief_maps.argmax(maps)
    on_points = lifter.vjp(
        lifter.lift(points, camera=TILTED),
        projection=gradients["landmarks"],
        pose=gradients.get("pose"),
        scale=scale,
    )
    expected = belief_maps.argmax_vjp(points, on_points, H, W, SIGMA)
    np.testing.assert_allclose(layer.blobs["maps"].diff, expected, atol=1e-3)
    assert not layer.blobs["camera"].diff.any()


def test_exact_gradient_of_the_landmarks_by_finite_differences(tmp_path, model, rng):
    """Through Caffe and the lifter's API as the layer calls it: maxima moved by subpixels."""
    parameters = {"model": model, "subpixel": True, "backward": "exact", "sigma": SIGMA}
    layer = lifting(tmp_path, parameters, camera=True)
    points, _ = belief_maps.argmax(seen_by(TILTED), subpixel=True)
    points = np.clip(points, 1, [W - 2, H - 2])
    g = rng.normal(size=(N, L, 2))

    def loss(points):
        run(layer, maps=belief_maps.render(points, H, W, SIGMA), camera=TILTED)
        return float((g * layer.blobs["landmarks"].data).sum())

    python = layer.layers[list(layer._layer_names).index("layer")]
    numeric = differences(loss, points.astype(float), 0.02)
    run(layer, maps=belief_maps.render(points, H, W, SIGMA), camera=TILTED)
    analytic = python.lifter.vjp(python.lifted, projection=g, scale="exact")
    np.testing.assert_allclose(analytic, numeric, atol=0.02 * np.abs(analytic).max())


def test_lifting_without_backward_gives_zeros(tmp_path, model, rng):
    layer = lifting(tmp_path, {"model": model})
    layer.blobs["maps"].diff[...] = 7
    run(layer, {"landmarks": np.ones((N, L, 2))}, maps=seen_by(np.stack([cameras.LEVEL] * N)))
    assert not layer.blobs["maps"].diff.any()


@pytest.mark.parametrize("covariance", [False, True])
def test_maps_without_a_person_do_not_stop_a_training(tmp_path, model, covariance):
    parameters = {"model": model, "backward": "exact", "covariance": covariance}
    layer = lifting(tmp_path, parameters, pose=True)
    run(layer, {"landmarks": np.ones((N, L, 2)), "pose": np.ones((N, L, 3))}, maps=0)
    for blob in layer.blobs.values():
        assert np.isfinite(blob.data).all() and np.isfinite(blob.diff).all()


def test_maps_that_diverged_stop_it_in_words(tmp_path, model):
    layer = lifting(tmp_path, {"model": model})
    with pytest.raises(ValueError, match="LiftingLayer: bottom 1.*diverged.*base_lr"):
        run(layer, maps=np.nan)
