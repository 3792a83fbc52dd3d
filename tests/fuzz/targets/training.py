"""What a training reads again: weights, states, solvers, tables of losses."""

import numpy as np

from tests.fuzz.target import Target
from tests.tools.train import torch_files
from tools.caffe_io import files
from tools.train import curves, torch_file, watch


def _field(number, content):
    length, varint = len(content), b""
    while length > 127:
        varint, length = varint + bytes([length & 127 | 128]), length >> 7
    key = number << 3 | 2
    tag = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    return tag + varint + bytes([length]) + content


def _blob():
    return _field(7, _field(1, b"\x02\x03")) + _field(5, np.ones(6, "<f4").tobytes())


def _weights(folder):
    layers = [_field(100, _field(1, name) + _field(7, _blob())) for name in (b"conv1", b"conv2")]
    (folder / "a.caffemodel").write_bytes(b"".join(layers))
    return folder / "a.caffemodel"


def _state(folder):
    content = b"\x08\x08" + _field(2, b"a.caffemodel") + _field(3, _blob())
    (folder / "a.solverstate").write_bytes(content)
    return folder / "a.solverstate"


def _prototxt(folder):
    path = folder / "solver.prototxt"
    path.write_text(
        'net: "train.prototxt" base_lr: 1e-3 max_iter: 10 display: 1 solver_mode: CPU\n'
    )
    return path


def _loss(folder):
    (folder / "loss.csv").write_text(
        "iteration,seconds,loss,loss_stage1\n0,0.5,1.5,0.5\n1,1.0,1.25,0.5\n2,1.5,1.0,0.25\n"
    )
    return folder / "loss.csv"


def _read_loss(path):
    watch.LossTable(path, 2)
    curves.draw({"a": curves.read(path.parent)}, path.with_suffix(".png"))


def _torch(folder):
    arrays = {"conv.weight": np.ones((2, 3), "f4"), "bn.count": np.arange(2)}
    torch_files.write(folder / "w.pth", arrays)
    return folder / "w.pth"


TARGETS = (
    Target("caffemodel", _weights, files.read_weights),
    Target("solverstate", _state, files.read_state),
    Target("prototxt", _prototxt, files.read_solver),
    Target("PyTorch weights", _torch, torch_file.read),
    Target("loss.csv", _loss, _read_loss),
)
