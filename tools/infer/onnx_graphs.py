"""Caffe's layers as ONNX graphs, from a deploy network and its weights, without running either.

A network with lifting cannot be one graph, since the lifting is no network: it is cut there. What
comes before the first lifting is the first graph, what lies between it and the second the next one,
and so on. In between are Steps: the lifting and the projection, which stay outside.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prior.errors import InputError

# The first opset with all that is used; 17 runs in every ONNX Runtime since 1.12 (2022).
OPSET, IR_VERSION = 17, 8
# Python layers that stay outside, and the name of their step.
OUTSIDE = {"LiftingLayer": "lift", "ProjectionLayer": "project"}

Weights = Mapping[str, Sequence[np.ndarray]]


class Step(NamedTuple):
    """One thing after another: kind "run" a graph, "lift" or "project"; the blobs that it takes and
    gives; of a graph its model, of others their parameters."""

    kind: str
    takes: list[str]
    gives: list[str]
    model: onnx.ModelProto | None = None
    parameters: dict[str, Any] | None = None


def convert(net: Any, weights: Weights, keep: Callable[[str], bool]) -> list[Step]:
    """The Steps of a NetParameter. keep: whether a blob, by name, is wanted as an output.

    Raises InputError on a layer that has no counterpart here.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    depth: dict[str, int] = {}  # of each blob: after how many steps outside
    graphs: dict[int, Graph] = {}
    outside: list[tuple[int, Step]] = []
    for layer in net.layer:
        if layer.type == "Input":
            for name, shape in zip(layer.top, layer.input_param.shape, strict=True):
                shapes[name], depth[name] = tuple(shape.dim[1:]), 0
            continue
        now = max(depth[name] for name in layer.bottom)
        if layer.type == "Python" and layer.python_param.layer in OUTSIDE:
            now += 1
            kind, parameters = OUTSIDE[layer.python_param.layer], layer.python_param.param_str
            outside.append(
                (now, Step(kind, [*layer.bottom], [*layer.top], None, json.loads(parameters)))
            )
            for name in layer.top:  # a projection gives maps; what a lifting gives no graph takes
                shapes[name] = shapes[layer.bottom[-1]] if kind == "project" else ()
        else:
            graph = graphs.setdefault(now, Graph(f"part{len(graphs) + 1}"))
            graph.add(layer, list(weights.get(layer.name, ())), shapes)
        depth |= dict.fromkeys(layer.top, now)
    return _in_order(graphs, outside, keep)


def _in_order(graphs: dict[int, "Graph"], outside: list[tuple[int, Step]], keep: Any) -> list[Step]:
    steps = []
    for now in sorted({*graphs, *(level for level, _ in outside)}):
        steps += [step for level, step in outside if level == now]
        if now in graphs:
            graph = graphs[now]
            needed = {name for level, step in outside if level > now for name in step.takes}
            needed |= {
                name for level, later in graphs.items() if level > now for name in later.takes
            }
            gives = [name for name in graph.shapes if name in needed or keep(name)]
            steps.append(Step("run", list(graph.takes), gives, graph.model(gives)))
    return steps


class Graph:
    """One ONNX graph, made layer by layer; takes: the shapes of the blobs from outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.takes: dict[str, tuple[int, ...]] = {}
        self.latest: dict[str, str] = {}  # of each blob the tensor that it is now
        self.shapes: dict[str, tuple[int, ...]] = {}  # of each blob that is made here
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, layer: Any, blobs: list[np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
        """Add a layer with its weights, and the shape of its top to `shapes`."""
        make = LAYERS.get(layer.type) or LAYERS.get(layer.python_param.layer)
        if make is None or len(layer.top) != 1:
            raise InputError(
                f"layer {layer.name}: expected one of {', '.join(sorted(LAYERS))}, which ONNX can "
                f"say, got {layer.python_param.layer or layer.type}"
            )
        for name in layer.bottom:
            if name not in self.latest:
                self.takes[name] = shapes[name]
                self.latest[name] = name
        bottoms = [self.latest[name] for name in layer.bottom]
        own = [shapes[name] for name in layer.bottom]
        try:
            tensor, shape = make(self, layer, bottoms, own, blobs)
        except (IndexError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            got = [list(blob.shape) for blob in blobs]
            raise InputError(
                f"layer {layer.name}: expected weights that fit, got blobs {got or 'none'}; take "
                "the caffemodel of this network"
            ) from None
        self.latest[layer.top[0]] = tensor
        self.shapes[layer.top[0]] = shapes[layer.top[0]] = shape

    def node(self, kind: str, layer: Any, inputs: list[str], **attributes: Any) -> str:
        """Add a node; returns the name of its output, which no blob has."""
        output = f"{layer.name}:{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, layer: Any, part: str, values: np.ndarray) -> str:
        """Add a constant; returns its name."""
        name = f"{layer.name}:{part}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def model(self, gives: list[str]) -> onnx.ModelProto:
        """The graph as a checked model with these outputs, of any batch size."""
        blobs = {self.latest[name]: name for name in gives}
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [blobs.get(name, name) for name in names]
        takes, outputs = (
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shape])
                for n, shape in all_
            ]
            for all_ in (self.takes.items(), [(name, self.shapes[name]) for name in gives])
        )
        graph = helper.make_graph(self._nodes, self.name, takes, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


# Layers: each adds its nodes to a graph; returns the name and the shape (C, H, W) of its top -----


def _convolution(graph, layer, bottoms, shapes, blobs):
    p = layer.convolution_param
    channels, *size = shapes[0]
    kernel, stride, pad = _sizes(p, "kernel"), _sizes(p, "stride"), _sizes(p, "pad")
    dilation = _both(p.dilation, 1)
    weight = blobs[0].reshape(p.num_output, channels // p.group, *kernel)
    inputs = [bottoms[0], graph.constant(layer, "weight", weight)]
    if p.bias_term:
        inputs.append(graph.constant(layer, "bias", blobs[1].ravel()))
    top = graph.node(
        "Conv",
        layer,
        inputs,
        kernel_shape=kernel,
        strides=stride,
        pads=[*pad, *pad],
        dilations=dilation,
        group=p.group,
    )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = [(n + 2 * a - r) // s + 1 for n, a, r, s in zip(size, pad, reach, stride, strict=True)]
    return top, (p.num_output, *out)


def _deconvolution(graph, layer, bottoms, shapes, blobs):
    p = layer.convolution_param
    channels, *size = shapes[0]
    kernel, stride, pad = _sizes(p, "kernel"), _sizes(p, "stride"), _sizes(p, "pad")
    dilation = _both(p.dilation, 1)
    weight = blobs[0].reshape(channels, p.num_output // p.group, *kernel)
    inputs = [bottoms[0], graph.constant(layer, "weight", weight)]
    if p.bias_term:
        inputs.append(graph.constant(layer, "bias", blobs[1].ravel()))
    window = {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *pad]}
    top = graph.node("ConvTranspose", layer, inputs, dilations=dilation, group=p.group, **window)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = [s * (n - 1) + r - 2 * a for n, a, r, s in zip(size, pad, reach, stride, strict=True)]
    return top, (p.num_output, *out)


def _batch_norm(graph, layer, bottoms, shapes, blobs):
    mean, variance, total = blobs[:3]
    factor = 0 if total.ravel()[0] == 0 else 1 / total.ravel()[0]  # as Caffe: sums of the batches
    channels = shapes[0][0]
    values = {
        "scale": np.ones(channels),
        "bias": np.zeros(channels),
        "mean": factor * mean.ravel(),
        "variance": factor * variance.ravel(),
    }
    constants = [graph.constant(layer, name, value) for name, value in values.items()]
    epsilon = layer.batch_norm_param.eps
    top = graph.node("BatchNormalization", layer, [bottoms[0], *constants], epsilon=epsilon)
    return top, shapes[0]


def _scale(graph, layer, bottoms, shapes, blobs):
    p = layer.scale_param
    if len(bottoms) > 1 or p.axis != 1 or p.num_axes != 1:
        raise InputError(f"layer {layer.name}: expected a scale of channels, learned")
    top = bottoms[0]
    for kind, blob in zip(("Mul", "Add"), blobs, strict=False):
        value = graph.constant(layer, kind, blob.reshape(1, -1, 1, 1))
        top = graph.node(kind, layer, [top, value])
    return top, shapes[0]


def _relu(graph, layer, bottoms, shapes, blobs):
    slope = layer.relu_param.negative_slope
    if slope:
        return graph.node("LeakyRelu", layer, bottoms, alpha=slope), shapes[0]
    return graph.node("Relu", layer, bottoms), shapes[0]


def _power(graph, layer, bottoms, shapes, blobs):
    """(shift + scale x) ^ power."""
    p, top = layer.power_param, bottoms[0]
    for kind, value, nothing in (("Mul", p.scale, 1), ("Add", p.shift, 0), ("Pow", p.power, 1)):
        if value != nothing:
            top = graph.node(kind, layer, [top, graph.constant(layer, kind, value)])
    return top, shapes[0]


def _sigmoid(graph, layer, bottoms, shapes, blobs):
    return graph.node("Sigmoid", layer, bottoms), shapes[0]


def _pooling(graph, layer, bottoms, shapes, blobs):
    """Caffe rounds the size of the result up, and drops a window that begins beyond the image."""
    p = layer.pooling_param
    channels, *size = shapes[0]
    kernel, stride, pad = _sizes(p, "kernel"), _sizes(p, "stride"), _sizes(p, "pad")
    if p.global_pooling:
        kernel = size
    out, extra = [], []
    for n, k, s, a in zip(size, kernel, stride, pad, strict=True):
        count = -(-(n + 2 * a - k) // s) + 1
        count -= a > 0 and (count - 1) * s >= n + a
        out.append(count)
        extra.append(max((count - 1) * s + k - n - a, 0))
    window = {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *extra]}
    if p.pool == p.MAX:
        return graph.node("MaxPool", layer, bottoms, **window), (channels, *out)
    if p.pool != p.AVE:
        raise InputError(f"layer {layer.name}: expected the maximum or the mean as its pooling")
    # Caffe divides by the part of a window that lies in the padded image: a sum, and a division.
    ones = graph.constant(layer, "ones", np.ones((channels, 1, *kernel)))
    total = graph.node("Conv", layer, [bottoms[0], ones], group=channels, **window)
    rows, columns = (
        np.minimum(np.arange(count) * s - a + k, n + a) - (np.arange(count) * s - a)
        for n, k, s, a, count in zip(size, kernel, stride, pad, out, strict=True)
    )
    areas = graph.constant(layer, "areas", np.outer(rows, columns)[None, None])
    return graph.node("Div", layer, [total, areas]), (channels, *out)


def _concat(graph, layer, bottoms, shapes, blobs):
    if layer.concat_param.axis != 1:
        raise InputError(f"layer {layer.name}: expected channels to be concatenated")
    top = graph.node("Concat", layer, bottoms, axis=1)
    return top, (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _eltwise(graph, layer, bottoms, shapes, blobs):
    p = layer.eltwise_param
    kind = {p.PROD: "Mul", p.SUM: "Add", p.MAX: "Max"}[p.operation]
    # Coefficients are of sums alone.
    for i, factor in enumerate(p.coeff if p.operation == p.SUM else ()):
        if factor != 1:
            value = graph.constant(layer, f"factor {i}", factor)
            bottoms = [
                *bottoms[:i],
                graph.node("Mul", layer, [bottoms[i], value]),
                *bottoms[i + 1 :],
            ]
    top = bottoms[0]
    for other in bottoms[1:]:
        top = graph.node(kind, layer, [top, other])
    return top, shapes[0]


def _identity(graph, layer, bottoms, shapes, blobs):
    return bottoms[0], shapes[0]


def _fusion(graph, layer, bottoms, shapes, blobs):
    """Equation 7, with the weight held in 0 to 1 as the layer does."""
    weight = np.clip(blobs[0], 0, 1).reshape(1, -1, 1, 1)
    parts = [
        graph.node("Mul", layer, [bottom, graph.constant(layer, name, value)])
        for bottom, name, value in zip(
            bottoms, ("weight", "rest"), (weight, 1 - weight), strict=True
        )
    ]
    return graph.node("Add", layer, parts), shapes[0]


def _sizes(parameters: Any, name: str) -> list[int]:
    """Height and width of a kernel, stride or pad, which Caffe has in one field or in two."""
    if parameters.HasField(f"{name}_h"):
        return [getattr(parameters, f"{name}_{axis}") for axis in "hw"]
    values = getattr(parameters, "kernel_size" if name == "kernel" else name)
    return _both(values, 0 if name == "pad" else 1)


def _both(values: Any, default: int) -> list[int]:
    """Height and width of one number, or of a field that has none, one or two."""
    listed = [values] if isinstance(values, int) else list(values) or [default]
    return listed * 2 if len(listed) == 1 else listed


LAYERS: dict[str, Any] = {
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
    "ReLU": _relu,
    "Power": _power,
    "Sigmoid": _sigmoid,
    "Pooling": _pooling,
    "Concat": _concat,
    "Eltwise": _eltwise,
    "Dropout": _identity,
    "FusionLayer": _fusion,
}
