"""Gradients of a whole small network of two stages, through Caffe, by finite differences."""

import caffe
import cv2
import numpy as np
import pytest

from prior.skeleton import L
from prototxt import networks
from prototxt.machines import CPM, MAPS, Conv
from tests.caffe import tiny_world

# Two stages, 32 px in and 8 x 8 maps out, a dozen channels: CPM's plan without its size.
SMALL = CPM._replace(
    input=32,
    stride=4,
    stages=2,
    batch=2,
    view=0,
    trunks=1,
    label_sigma=5,
    trunk=(Conv("conv1", 3, 8, stride=2), Conv("conv2", 3, 12, stride=2)),
    head=(Conv("conv3_stage{t}", 3, 12), Conv("conv4_stage{t}", 1, MAPS)),
    refine=(Conv("Mconv1_stage{t}", 3, 12), Conv("Mconv2_stage{t}", 1, MAPS)),
)
STEPS = 1e-3, 3e-4


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    data = tiny_world.write_data(folder / "data")
    rng = np.random.default_rng(3)
    for path in (folder / "data").glob("*.png"):  # flat pictures have maxima that tie
        noise = rng.integers(0, 255, (tiny_world.SIZE, tiny_world.SIZE, 3), dtype=np.uint8)
        assert cv2.imwrite(str(path), cv2.GaussianBlur(noise, None, 2))
    return data, tiny_world.write_prior(folder / "prior.npz")


@pytest.fixture
def make(world, tmp_path):
    """Makes the network with some choices: weights of a size at which all layers matter."""
    data, prior = world

    def make(**choices):
        text = networks.text(networks.network(SMALL, lifting=True, train=True, **choices))
        path = tmp_path / "net.prototxt"
        path.write_text(text)
        path.write_text(tiny_world.adapt(path, data, prior, workers=0))
        net = caffe.Net(str(path), caffe.TRAIN)
        rng = np.random.default_rng(0)
        for name, blobs in net.params.items():
            if "conv" in name:
                weights = blobs[0].data
                size = np.sqrt(2 / np.prod(weights.shape[1:]))
                weights[...] = rng.normal(0, size, weights.shape)
                blobs[1].data[...] = rng.normal(0, 0.1, blobs[1].shape)
            elif name.startswith("fusion"):
                blobs[0].data[...] = rng.uniform(0.3, 0.7, blobs[0].shape)
        return net

    return make


def loss(net):
    """The sum of the stages' losses on the first batch, in float64."""
    net.params["pose_data"][0].data[...] = 0
    net.forward()
    total = 0.0
    for t, of_stage in ((1, "_stage1"), (2, "")):
        known = net.blobs[f"known_stage{t}"].data.astype(float)
        total += ((known - net.blobs[f"label{of_stage}"].data) ** 2).sum() / (2 * len(known))
    return total


def places(net):
    """What must not change between the two ends of a difference: where the maxima are."""
    return np.concatenate(
        [net.blobs[f"beliefs_stage{t}"].data[:, :L].reshape(2, L, -1).argmax(-1) for t in (1, 2)]
    )


def difference(net, blob, direction, where):
    """The loss's slope along a direction in a blob, over a step that moves no maximum."""
    kept = blob.data.copy()
    for step in STEPS:
        ends, stayed = [], True
        for sign in 1, -1:
            blob.data[...] = kept + sign * step * direction
            ends.append(loss(net))
            stayed = stayed and (places(net) == where).all()
        blob.data[...] = kept
        if stayed:
            return (ends[0] - ends[1]) / (2 * step)
    raise AssertionError("a maximum is too near a tie: take another seed")


@pytest.mark.parametrize(
    "choices",
    [{}, {"fusion": "landmark"}, {"loss": "beliefs", "last_fusion": False}],
    ids=["paper", "weight of each landmark", "loss on beliefs"],
)
def test_the_gradient_of_every_weight(make, choices):
    """Without gradients through the lifting it is still exact, for a landmark is the most
    confident cell: small steps do not move it, nor what is projected from it."""
    net = make(**choices)
    start = loss(net)
    printed = sum(float(net.blobs[f"loss_stage{t}"].data) for t in (1, 2))
    assert start == pytest.approx(printed, rel=1e-5)
    where = places(net)
    for blobs in net.params.values():
        for blob in blobs:
            blob.diff[...] = 0
    net.backward()
    gradients = {
        (name, i): blob.diff.astype(float)
        for name, blobs in net.params.items()
        if name != "pose_data"
        for i, blob in enumerate(blobs)
    }
    rng = np.random.default_rng(1)
    for (name, i), gradient in gradients.items():
        blob = net.params[name][i]
        # Along the gradient itself, so that there is much to see, and along a random direction.
        for direction in gradient, rng.normal(size=gradient.shape) + gradient:
            direction = direction / np.linalg.norm(direction)
            numeric = difference(net, blob, direction, where)
            expected = (gradient * direction).sum()
            assert numeric == pytest.approx(expected, rel=0.02, abs=1e-4 * start), (name, i)


@pytest.mark.parametrize("backward", ["scale-held", "exact"])
def test_the_liftings_gradient_reaches_the_first_layer_and_adds_to_the_others(make, backward):
    """The supplement's gradients are no derivatives of the loss: checked is that they arrive."""

    def gradients(net):
        loss(net)
        for blobs in net.params.values():
            for blob in blobs:
                blob.diff[...] = 0
        net.backward()
        return {name: blobs[0].diff.copy() for name, blobs in net.params.items()}

    without, through = gradients(make()), gradients(make(backward=backward))
    assert np.abs(through["conv1"] - without["conv1"]).max() > 1e-3 * np.abs(without["conv1"]).max()
    assert all(np.isfinite(gradient).all() for gradient in through.values())
    # What comes after the last lifting is the same.
    np.testing.assert_allclose(through["fusion_stage2"], without["fusion_stage2"], rtol=1e-5)
