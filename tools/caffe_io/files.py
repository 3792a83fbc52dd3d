"""Caffe's files, read without Caffe, which aborts the whole process on a bad one.

Networks and solvers are text; weights and states are protocol buffers, read here straight from
their wire format: 30 million weights would take Google's Python reader minutes.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import Message

from prior import foreign
from prior.errors import InputError, short
from prior.files import write
from python_layers.data.messages import fields, varint

if TYPE_CHECKING:  # a program's --help works where there is no Caffe
    from caffe.proto import caffe_pb2

# Types of layers with weights in Caffe's old formats, by number (V1LayerParameter.LayerType of
# caffe.proto) or by name (before that), as they are called now.
OLD_TYPES = {
    4: "Convolution",
    14: "InnerProduct",
    39: "Deconvolution",
    "conv": "Convolution",
    "innerproduct": "InnerProduct",
}

AnyMessage = TypeVar("AnyMessage", bound=Message)


class CaffeFileError(InputError):
    """A file that Caffe would abort on: says which, what was expected, and what came."""


class State(NamedTuple):
    """A .solverstate: where a training was."""

    iteration: int
    weights: str  # path of the .caffemodel of the same moment
    history: list[np.ndarray]  # one array for each learned blob (momentum), or two (Adam)


def read_net(path: Path) -> caffe_pb2.NetParameter:
    """A network in text form. Raises CaffeFileError."""
    from caffe.proto import caffe_pb2

    return read_text(path, caffe_pb2.NetParameter())


def read_solver(path: Path) -> caffe_pb2.SolverParameter:
    """A solver in text form. Raises CaffeFileError."""
    from caffe.proto import caffe_pb2

    return read_text(path, caffe_pb2.SolverParameter())


def read_text(path: Path, message: AnyMessage) -> AnyMessage:
    """Fill a protobuf message from a prototxt; returns it. Raises CaffeFileError."""
    text = foreign.read_text(path, CaffeFileError)
    try:
        return text_format.Parse(text, message)
    # RecursionError: messages inside each other; the others: of protobuf, on numbers out of range.
    except (text_format.ParseError, RecursionError, ValueError, TypeError) as error:
        kind, said = type(message).__name__, short(str(error), 200)
        raise CaffeFileError(f"{path}: expected a {kind} in text form: {said}") from None


def read_weights(path: Path) -> dict[str, list[np.ndarray]]:
    """A .caffemodel as {layer: [float array of each blob's shape]}. Raises CaffeFileError.

    Files of Caffe's old formats, as VGG's of 2014, are read as today's Caffe would upgrade them.
    """
    return {name: blobs for name, blobs, _ in _layers(path)}


def read_name(path: Path) -> str:
    """The name of the network whose weights a .caffemodel has. Raises CaffeFileError."""
    with _named(path):
        return "".join(_text(value) for field, value, _ in fields(_bytes(path)) if field == 1)


def copy_weights(target: Path, *sources: tuple[Path, Collection[str]]) -> None:
    """Write a .caffemodel with layers of others; sources: (path, names of the layers to take), of
    which the last gives the network's name.

    Layers of Caffe's old formats are upgraded.
    """
    kept = [raw for path, names in sources for name, _, raw in _layers(path) if name in names]
    name = read_name(sources[-1][0]).encode()
    write(target, b"".join([_message(1, name) if name else b"", *kept]))


def read_state(path: Path) -> State:
    """A .solverstate as a State. Raises CaffeFileError."""
    iteration, weights, history = 0, "", []
    with _named(path):
        # Field numbers of SolverState, BlobProto and the others below: caffe.proto.
        for field, value, _ in fields(_bytes(path)):
            if field == 1:
                iteration = value
            elif field == 2:
                weights = bytes(value).decode()
            elif field == 3:
                history.append(_blob(value))
    return State(iteration, weights, history)


def _layers(path):
    """(name, blobs, bytes of the whole field) of each layer that has blobs."""
    layers = []
    with _named(path):
        for field, value, raw in fields(_bytes(path)):
            if field == 2:
                name, kind, blobs = _old_layer(value)
                raw = _new_layer(name, kind, blobs)
            elif field == 100:
                name, kind, blobs = _layer(value, name=1, kind=2, blob=7)
            else:
                continue
            if blobs:
                layers.append((name, blobs, bytes(raw)))
        if not layers:
            raise ValueError("no layer has weights")
    return layers


def _layer(message, name, kind, blob):
    """(name, type, blobs) of a layer; the arguments are the numbers of their fields."""
    texts, messages = {name: "", kind: ""}, []
    for field, value, _ in fields(message):
        if field in texts:
            texts[field] = OLD_TYPES.get(value, "") if isinstance(value, int) else _text(value)
        elif field == blob:
            messages.append(value)
    blobs = [_blob(m, texts[kind], place) for place, m in enumerate(messages)]
    return texts[name], texts[kind], blobs


def _old_layer(message):
    """The same of a layer as Caffe wrote it before LayerParameter (V1LayerParameter, of 2014), and
    before that (V0LayerParameter, inside of one)."""
    for field, value, _ in fields(message):
        if field == 1:
            name, kind, blobs = _layer(value, name=1, kind=2, blob=50)
            kind = OLD_TYPES.get(kind, "")
            return name, kind, [_as_now(b, kind, place) for place, b in enumerate(blobs)]
    return _layer(message, name=4, kind=5, blob=6)


def _new_layer(name, kind, blobs):
    """The bytes of a layer of a NetParameter, as Caffe writes it now."""
    parts = [_message(1, name.encode()), _message(2, kind.encode())]
    for blob in blobs:
        shape = _message(1, b"".join(map(_as_varint, blob.shape)))
        parts.append(_message(7, _message(7, shape) + _message(5, blob.astype("<f4").tobytes())))
    return _message(100, b"".join(parts))


def _message(number, content):
    """The bytes of a field that has a length."""
    return _as_varint(number << 3 | 2) + _as_varint(len(content)) + content


def _as_varint(value):
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _text(message):
    return bytes(message).decode()


def _as_now(blob, kind, place):
    """An array of the old shape (num, channels, height, width) in today's, which leaves out axes
    that a layer's blob does not have. place: of the blob in the layer."""
    axes = {"InnerProduct": 2, "Convolution": 4, "Deconvolution": 4}.get(kind)
    if axes is None or blob.ndim != 4:
        return blob
    axes = axes if place == 0 else 1  # a bias is a row
    if any(n != 1 for n in blob.shape[: 4 - axes]):
        raise ValueError(f"a blob of a {kind} has the shape {list(blob.shape)}")
    return blob.reshape(blob.shape[4 - axes :])


def _blob(message, kind="", place=0):
    """The array of a BlobProto. kind, place: the layer's type, and which of its blobs it is."""
    shape, old_shape, data = None, {}, np.zeros(0, np.float32)
    for field, value, _ in fields(message):
        if field == 7:
            shape = [dim for _, dims, _ in fields(value) for dim in _packed_varints(dims)]
        elif field in (1, 2, 3, 4):
            old_shape[field] = value
        elif field == 5:
            data = np.frombuffer(value, "<f4")
    old = shape is None
    if old:
        shape = [old_shape.get(i, 0) for i in (1, 2, 3, 4)]
    if np.prod(shape, dtype=np.int64) != data.size:
        raise ValueError(f"a blob of shape {shape} holds {data.size} numbers")
    return _as_now(data.reshape(shape), kind, place) if old else data.reshape(shape)


def _packed_varints(message):
    if isinstance(message, int):  # written one by one, by old programs
        return [message]
    values, at = [], 0
    while at < len(message):
        value, at = varint(message, at)
        values.append(value)
    return values


def _bytes(path):
    return memoryview(foreign.read_bytes(path, CaffeFileError))


@contextmanager
def _named(path):
    """Turns what goes wrong inside into a CaffeFileError that names the file."""
    try:
        yield
    except CaffeFileError:
        raise
    # Fields of another type than they should be raise TypeError, text that is none a ValueError.
    except (ValueError, TypeError, OverflowError) as error:
        said = short(str(error), 100)
        raise CaffeFileError(f"{path}: not a whole file of Caffe's: {said}") from None
