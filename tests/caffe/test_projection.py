"""The projection layer in Caffe (equation 6): values and gradients."""

import numpy as np
import pytest

from prior.skeleton import L
from python_layers import belief_maps
from tests.caffe.layer_net import MAPS, SIGMA, H, N, W, projection, run


def test_projection_renders(tmp_path, rng):
    layer = projection(tmp_path)
    landmarks = rng.uniform(0, 11, size=(N, L, 2)).astype(np.float32)
    run(layer, landmarks=landmarks, maps=5)
    expected = belief_maps.render(landmarks, H, W, SIGMA)
    np.testing.assert_array_equal(layer.blobs["top"].data, expected)


@pytest.mark.parametrize("backward", ["none", "central-difference"])
def test_projection_backward(tmp_path, rng, backward):
    layer = projection(tmp_path, {"sigma": SIGMA, "backward": backward})
    landmarks = rng.uniform(2, 10, size=(N, L, 2)).astype(np.float32)
    gradient = rng.normal(size=MAPS).astype(np.float32)
    layer.blobs["landmarks"].diff[...] = layer.blobs["maps"].diff[...] = 7
    run(layer, {"top": gradient}, landmarks=landmarks)
    expected = belief_maps.render_vjp(landmarks, gradient, SIGMA)
    assert np.abs(expected).min() > 0
    np.testing.assert_array_equal(
        layer.blobs["landmarks"].diff, 0 if backward == "none" else expected
    )
    assert not layer.blobs["maps"].diff.any()


def test_projection_descends_to_the_target(tmp_path):
    layer = projection(tmp_path, {"sigma": SIGMA, "backward": "central-difference"})
    target = belief_maps.render(np.tile([6.0, 5.0], (N, L, 1)), H, W, SIGMA)
    landmarks = np.tile(np.float32([5.0, 6.5]), (N, L, 1))
    for _ in range(200):
        run(layer, landmarks=landmarks)
        layer.blobs["top"].diff[...] = layer.blobs["top"].data - target
        layer.backward()
        landmarks = landmarks - 0.1 * layer.blobs["landmarks"].diff
    np.testing.assert_allclose(landmarks[0, 0], [6, 5], atol=0.05)
