"""What tools/train/__main__.py refuses, or stops at, in one line."""

import json

import numpy as np
import pytest
from caffe.proto import caffe_pb2

from prototxt import networks
from prototxt.machines import LITE
from tests.caffe import tiny_world
from tests.caffe.training import SGD, assert_one_line, packed_twin, run, write_solver
from tools.caffe_io import process as caffe_process

pytestmark = pytest.mark.usefixtures("one_thread")


def plain(folder, world, lifting):
    """A solver, as write_solver's, with far too high a rate; the lite network without its
    normalisation, which would keep the maps finite."""
    net = networks.network(LITE._replace(normalise=False), lifting=lifting, train=True)
    path = folder / "plain.prototxt"
    path.write_text(networks.text(net))
    data, prior = world / "data/train.json", world / "prior.npz"
    text = tiny_world.adapt(path, data, prior, batch_size=1)
    return write_solver(folder, world, rates=SGD.replace("1e-5", "1e9"), iterations=50, text=text)


def test_a_loss_that_is_not_finite_stops(world, tmp_path, capsys):
    # The baseline: a lifting layer would refuse such maps before Caffe sees their loss.
    solver = plain(tmp_path, world, lifting=False)
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, ": the loss is ", "smaller base_lr")
    assert not (tmp_path / "out/final.caffemodel").exists()


def test_maps_that_are_not_finite_stop(world, tmp_path, capsys):
    solver = plain(tmp_path, world, lifting=True)
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "maps", "finite")


def test_weights_that_are_not_finite_are_no_result(world, tmp_path, capsys):
    # Normalisation hides them from the loss.
    solver = write_solver(tmp_path, world, "lite/lifting", SGD.replace("1e-5", "1e9"), 12)
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "snapshot of iteration 12 is of no use", "smaller base_lr")
    assert not (tmp_path / "out/final.caffemodel").exists()


@pytest.mark.parametrize(
    ("missing", "parts"),
    [
        ("data/train.json", ["data/train.json: no such file", "make data"]),
        ("prior.npz", ["prior.npz: no such file", "make prior"]),
    ],
)
def test_missing_inputs_are_named(world, tmp_path, capsys, missing, parts):
    solver = write_solver(tmp_path, world)
    net = tmp_path / "net.prototxt"
    net.write_text(net.read_text().replace(str(world / missing), f"nowhere/{missing}"))
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, *parts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ('type: "ReLU"', 'type: "Ralu"', ["refuses this network", "Ralu"]),
        ('"rotations": 80', '"rotations": "80"', ["refuses this network", "rotations"]),
        ('bottom: "camera"', 'bottom: "label"', ["refuses this network", "camera"]),
        ('bottom: "camera"', 'bottom: "nothing"', ["refuses this network", "nothing"]),
        ("layer {", "layer (", ["expected a NetParameter"]),
    ],
)
def test_a_bad_network_is_one_line(world, tmp_path, capsys, before, after, parts):
    solver = write_solver(tmp_path, world)
    net = tmp_path / "net.prototxt"
    assert before in net.read_text()
    net.write_text(net.read_text().replace(before, after))
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, *parts)


def test_data_of_no_use_is_one_line(world, tmp_path, capsys):
    solver = write_solver(tmp_path, world)
    (tmp_path / "train.json").write_text('{"images": []}')
    net = tmp_path / "net.prototxt"
    data = str(world / "data/train.json")
    net.write_text(net.read_text().replace(data, str(tmp_path / "train.json")))
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, str(tmp_path / "train.json"))


def test_no_source_is_one_line(world, tmp_path, capsys):
    solver = write_solver(tmp_path, world)
    net = tmp_path / "net.prototxt"
    data = json.dumps(str(world / "data/train.json"))
    assert f'"source": {data}' in net.read_text()
    net.write_text(net.read_text().replace(f'"source": {data}', '"source": null'))
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "source, model: expected names of files")


@pytest.mark.parametrize("text", ["", "{", "[]", "1" * 5000, "\0"])
def test_a_damaged_list_of_inputs_is_one_line(world, tmp_path, capsys, text):
    """Of a training that would go on."""
    solver = write_solver(tmp_path, world)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/snapshot_iter_4.solverstate").write_bytes(b"")
    (tmp_path / "out/inputs.json").write_text(text)
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "out/inputs.json: expected")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("base_lr: fast", "expected a SolverParameter"),
        ("max_iter: 5 display: 1", "expected one network"),
        ('net: "a" max_iter: 5', "display"),
        ('net: "a" display: 1', "at least 1 iteration"),
        ('net: "nowhere.prototxt" max_iter: 5 display: 1', "nowhere.prototxt"),
        (None, "No such file"),
    ],
)
def test_a_bad_solver_is_one_line(tmp_path, capsys, content, part):
    solver = tmp_path / "solver.prototxt"
    if content:
        solver.write_text(content)
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, part)


def of_another_version(path):
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes([9]) + content[9:])


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (of_another_version, "expected version 1 of the packed format, got 9"),
        (cut_in_half, "cut short"),
    ],
)
def test_a_packed_file_of_no_use_is_one_line(world, tmp_path, capsys, damage, message):
    pack = packed_twin(world, tmp_path / "a.pack")
    solver = write_solver(tmp_path, world, "lite/cpm")
    net = tmp_path / "net.prototxt"
    net.write_text(net.read_text().replace(str(world / "data/train.json"), str(pack)))
    damage(pack)
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "a.pack: ", message)
    assert not (tmp_path / "out").exists()


def test_a_prior_of_other_landmarks_is_one_line(world, tmp_path, capsys):
    with np.load(world / "prior.npz") as file:
        arrays = dict(file)
    arrays["landmarks"] = arrays["landmarks"][::-1]
    np.savez(tmp_path / "prior.npz", **arrays)
    solver = write_solver(tmp_path, world)
    net = tmp_path / "net.prototxt"
    net.write_text(net.read_text().replace(str(world / "prior.npz"), str(tmp_path / "prior.npz")))
    assert run(solver, "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "refuses this network", "prior.npz", "landmarks")


def test_weights_of_no_use_are_one_line(world, tmp_path, capsys):
    net = caffe_pb2.NetParameter()
    blob = net.layer.add(name="fc6", type="InnerProduct").blobs.add(data=[1.0])
    blob.shape.dim.append(1)
    (tmp_path / "other.caffemodel").write_bytes(net.SerializeToString())
    solver = write_solver(tmp_path, world)
    assert run(solver, "--out", tmp_path / "o", "--weights", tmp_path / "other.caffemodel") == 1
    assert_one_line(capsys, "none of its layers fits the network")


def test_a_gpu_that_is_not_there_is_one_line(world, tmp_path, capsys):
    solver = write_solver(tmp_path, world, "lite/cpm", iterations=1)
    assert run(solver, "--out", tmp_path / "out", "--gpu", 99) == 1
    assert_one_line(capsys, "--gpu 99: ", "for GPUs" if of_cpu() else "CUDA says: ")
    assert not (tmp_path / "out").exists()


def of_cpu():
    """Whether the Caffe in use is one for the CPU alone."""
    library = caffe_process.caffe_root() / "build/lib/libcaffe.so"
    return b"libcublas" not in library.read_bytes()


def test_a_caffe_that_ignores_weights(world, tmp_path, capsys, monkeypatch):
    # The packaged Caffe does, but for our patch.
    solver, weights = write_solver(tmp_path, world), tmp_path / "weights.caffemodel"
    caffe_process.dry_run(tmp_path / "net.prototxt", save=weights)
    ignores = tmp_path / "caffe/build/tools/caffe"
    ignores.parent.mkdir(parents=True)
    ignores.write_text(f'#!/bin/sh\nexec {caffe_process.program()} "$1" "$2"\n')
    ignores.chmod(0o755)
    (tmp_path / "caffe/python").symlink_to(caffe_process.caffe_root() / "python")
    monkeypatch.setenv("CAFFE_ROOT", str(tmp_path / "caffe"))
    assert run(solver, "--out", tmp_path / "out", "--weights", weights) == 1
    assert_one_line(capsys, f"{ignores} ignores --weights", "BVLC's Caffe")
    assert not (tmp_path / "out/final.caffemodel").exists()
