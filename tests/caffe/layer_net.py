"""Nets of the layers, as text, and what their tests share."""

import json

import caffe
import numpy as np

from prior import camera as cameras
from prior.skeleton import L
from python_layers import belief_maps
from tests import poses


def python_layer(module, layer, parameters, bottoms=(), tops=("top",), extra="", name="layer"):
    """A layer of python_layers as prototxt; `given` is its param_str, or what JSON makes it."""
    text = parameters if isinstance(parameters, str) else json.dumps(parameters)
    names = "".join(f'bottom: "{b}" ' for b in bottoms) + "".join(f'top: "{t}" ' for t in tops)
    # JSON's rules for quotes in a string are those of prototxt.
    return (
        f'layer {{ name: "{name}" type: "Python" {names} {extra}\n  python_param {{ '
        f'module: "python_layers.{module}" layer: "{layer}" param_str: {json.dumps(text)} }} }}\n'
    )


def inputs(**shapes):
    """An Input layer for each name."""
    return "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {size}" for size in shape)
        + " } } }\n"
        for name, shape in shapes.items()
    )


def net(folder, *layers, phase=caffe.TRAIN, to_inputs=True):
    """The net of these layers; it computes the gradients of its inputs too if `to_inputs`."""
    path = folder / "net.prototxt"
    path.write_text(f"force_backward: {str(to_inputs).lower()}\n" + "".join(layers))
    return caffe.Net(str(path), phase)


N, H, W, SIGMA = 2, 14, 12, 1.2

MAPS = (N, L + 1, H, W)


def run(net, gradients=None, **values):
    """Forward with `values` in the inputs, then backward with `gradients` in the layer's tops."""
    for name, value in values.items():
        net.blobs[name].data[...] = value
    net.forward()
    for name, gradient in (gradients or {}).items():
        net.blobs[name].diff[...] = gradient
    if gradients:
        net.backward()


def differences(function, value, step):
    """Gradient of a scalar function at `value` by central differences."""
    result = np.zeros(value.shape)
    for index in np.ndindex(value.shape):
        ends = []
        for sign in 1, -1:
            moved = value.copy()
            moved[index] += sign * step
            ends.append(function(moved))
        result[index] = (ends[0] - ends[1]) / (2 * step)
    return result


SMALL = (2, 3, 2, 2)


def fusion(folder, parameters=None, to_inputs=True):
    layer = python_layer("fusion", "FusionLayer", parameters or {}, ["b", "bhat"])
    return net(folder, inputs(b=SMALL, bhat=SMALL), layer, to_inputs=to_inputs)


def projection(folder, parameters=None, landmarks=(N, L, 2), maps=MAPS):
    return net(
        folder,
        inputs(landmarks=landmarks, maps=maps),
        python_layer(
            "projection", "ProjectionLayer", parameters or {"sigma": SIGMA}, ["landmarks", "maps"]
        ),
    )


def lifting(folder, parameters, *, camera=False, pose=False, maps=MAPS, size=3):
    bottoms = ["maps", "camera"] if camera else ["maps"]
    shapes = {"maps": maps} | ({"camera": (N, size, size)} if camera else {})
    tops = ["landmarks", "pose"] if pose else ["landmarks"]
    return net(
        folder, inputs(**shapes), python_layer("lifting", "LiftingLayer", parameters, bottoms, tops)
    )


def seen_by(rotations, seed=1, noise=0.3):
    """Belief maps (N, L + 1, H, W) of people in front of cameras (N, 3, 3)."""
    rng = np.random.default_rng(seed)
    people = poses.random_poses(N, seed=seed)
    people = people - people.mean(axis=1, keepdims=True)
    points = (people @ np.swapaxes(rotations, -1, -2))[..., :2]
    points = points / np.abs(points).max() * 4.5 + [(W - 1) / 2, (H - 1) / 2]
    return belief_maps.render(points + noise * rng.normal(size=points.shape), H, W, SIGMA)


TILTED = np.stack(
    [cameras.look_at([2000, 1500, 4000], [0, 0, 0]), cameras.look_at([0, 300, -4000], [0, 0, 0])]
)
