"""Nets of one Python layer, as text, for the tests of the layers."""

import json

import caffe


def python_layer(module, layer, given, bottoms=(), tops=("top",), extra="", name="layer"):
    """A layer of python_layers as prototxt; `given` is its param_str, or what JSON makes it."""
    text = given if isinstance(given, str) else json.dumps(given)
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
