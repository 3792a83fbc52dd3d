"""tools/train/__main__.py with the real caffe program: runs, stops, and going on."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from python_layers.data import annotations, prefetch
from python_layers.data.messages import fields
from tests.caffe import tiny_world
from tests.caffe.training import (
    ITERATIONS,
    PROTOTXT,
    SGD,
    assert_one_line,
    packed_twin,
    run,
    write_solver,
)
from tools.caffe_io import files as caffe_files
from tools.caffe_io import process as caffe_process
from tools.train import curves, snapshots

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """A run without a stop: (solver, its folder)."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        solver = write_solver(folder, world)
        assert run(solver, "--out", folder / "out") == 0
    return solver, folder / "out"


def copy_run(reference, out):
    """A copy of a run's folder. Its states, which know the path of their weights, follow."""
    shutil.copytree(reference, out)
    for path in out.glob("*.solverstate"):
        state = caffe_pb2.SolverState.FromString(path.read_bytes())
        state.learned_net = str(path.with_suffix(".caffemodel"))
        path.write_bytes(state.SerializeToString())
    return out


def assert_same_snapshot(a, b, iteration=ITERATIONS):
    name = f"snapshot_iter_{iteration}"
    ours, theirs = (caffe_files.read_weights(out / f"{name}.caffemodel") for out in (a, b))
    assert ours.keys() == theirs.keys()
    for layer in ours:
        for x, y in zip(ours[layer], theirs[layer], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=layer)
    ours, theirs = (caffe_files.read_state(out / f"{name}.solverstate") for out in (a, b))
    assert ours.iteration == theirs.iteration == iteration
    for x, y in zip(ours.history, theirs.history, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_run_leaves_everything_named(whole):
    _, out = whole
    final = (out / "final.caffemodel").read_bytes()
    assert final == (out / f"snapshot_iter_{ITERATIONS}.caffemodel").read_bytes()
    assert "Optimization Done" in (out / "caffe.log").read_text()
    with open(out / "loss.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows[:ITERATIONS]] == list(range(ITERATIONS))
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    for row in rows[:ITERATIONS]:
        stages = sum(float(row[f"loss_stage{t}"]) for t in (1, 2, 3))
        assert float(row["loss"]) == pytest.approx(stages, rel=1e-4)
    assert float(rows[ITERATIONS - 1]["loss"]) < float(rows[0]["loss"])


def test_snapshots_read_as_protobuf_reads_them(whole):
    _, out = whole
    path = out / "final.caffemodel"
    net = caffe_pb2.NetParameter.FromString(path.read_bytes())
    expected = {layer.name: layer.blobs for layer in net.layer if layer.blobs}
    ours = caffe_files.read_weights(path)
    assert ours.keys() == expected.keys()
    for name, blobs in ours.items():
        for blob, want in zip(blobs, expected[name], strict=True):
            assert list(blob.shape) == list(want.shape.dim)
            np.testing.assert_array_equal(blob.ravel(), want.data)
    state = caffe_files.read_state(out / f"snapshot_iter_{ITERATIONS}.solverstate")
    want = caffe_pb2.SolverState.FromString(
        (out / f"snapshot_iter_{ITERATIONS}.solverstate").read_bytes()
    )
    assert (state.iteration, state.weights) == (want.iter, want.learned_net)
    assert len(state.history) == len(want.history)


def test_interrupted_and_resumed_is_the_same_to_the_last_bit(whole, world, tmp_path):
    _, reference = whole
    solver, out = write_solver(tmp_path, world), tmp_path / "out"
    command = [sys.executable, "-m", "tools.train", solver, "--out", out]
    log = out / "caffe.log"
    with subprocess.Popen(
        command, cwd=caffe_process.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (log.is_file() and "Iteration 1," in log.read_text()):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the last good snapshot is" in printed
    assert "Traceback" not in errors
    stopped = snapshots.find_state(out, "auto", caffe_process.dry_run(out / "train.prototxt"))
    assert 0 < caffe_files.read_state(stopped).iteration < ITERATIONS
    assert not (out / "final.caffemodel").exists()

    assert run(solver, "--out", out) == 0
    assert_same_snapshot(out, reference)
    with open(out / "loss.csv", newline="") as file:
        iterations = [int(row["iteration"]) for row in csv.DictReader(file)]
    assert iterations == sorted(set(iterations))


def _alive(pid):
    """Whether a process runs, that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_training_ends_its_caffe_and_two_at_once_never_mix(world, tmp_path):
    solver, out = write_solver(tmp_path, world, iterations=4000), tmp_path / "out"
    command = [sys.executable, "-m", "tools.train", solver, "--out", out]
    log = out / "caffe.log"
    with subprocess.Popen(command, cwd=caffe_process.ROOT, stdout=-3, stderr=-3) as first:
        while not (log.is_file() and "Iteration 1," in log.read_text()):
            assert first.poll() is None
            time.sleep(0.01)
        second = subprocess.run(
            command, cwd=caffe_process.ROOT, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "another process is writing it" in second.stderr and second.stderr.count("\n") == 1
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        assert children
        first.kill()
    until = time.monotonic() + 10
    while any(map(_alive, children)):
        assert time.monotonic() < until, "caffe outlived the program that started it"
        time.sleep(0.05)
    time.sleep(prefetch.PATIENCE + 0.5)  # its workers look after their parent so often
    size = log.stat().st_size
    assert run(solver, "--out", out, "--iterations", 5, "--resume", "none") == 0
    assert (out / "before-1" / "caffe.log").stat().st_size == size


@pytest.mark.parametrize("kind", ["caffemodel", "solverstate"])
@pytest.mark.parametrize("left", [0.5, 0.999])
def test_a_truncated_snapshot_is_put_aside(whole, tmp_path, capsys, kind, left):
    out = copy_run(whole[1], tmp_path / "out")
    # As if the machine had stopped while it wrote the last one.
    broken = out / f"snapshot_iter_{ITERATIONS}.{kind}"
    whole_bytes = broken.read_bytes()
    broken.write_bytes(whole_bytes[: int(left * len(whole_bytes))])
    shapes = caffe_process.dry_run(out / "train.prototxt")
    assert snapshots.find_state(out, "auto", shapes) == out / "snapshot_iter_8.solverstate"
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    assert str(broken) in warning
    assert Path(f"{broken}.broken").is_file()
    assert not broken.exists()


def test_goes_on_from_the_last_good_snapshot(whole, world, tmp_path):
    _, reference = whole
    solver, out = write_solver(tmp_path, world), tmp_path / "out"
    assert run(solver, "--out", out, "--iterations", 8) == 0
    last = out / "snapshot_iter_8.caffemodel"
    last.write_bytes(last.read_bytes()[:-1000])
    assert run(solver, "--out", out) == 0
    assert (out / "snapshot_iter_8.caffemodel.broken").is_file()
    assert_same_snapshot(out, reference)


def test_every_cut_of_a_file_is_noticed(whole, tmp_path):
    out = copy_run(whole[1], tmp_path / "out")
    shapes = caffe_process.dry_run(out / "train.prototxt")
    path = out / "snapshot_iter_4.caffemodel"
    state = out / "snapshot_iter_4.solverstate"
    snapshots.check_snapshot(state, shapes)
    content = path.read_bytes()
    starts, at = {}, 0  # of whole fields, where a protocol buffer looks whole
    for _, value, raw in fields(memoryview(content)):
        starts[at] = b"Mconv" in bytes(value[:40]) if not isinstance(value, int) else False
        at += len(raw)
    last = max(start for start, learned in starts.items() if learned)
    ends = [start for start in starts if start <= last] + [len(content) - 1]
    for end in ends:
        path.write_bytes(content[:end])
        with pytest.raises(caffe_files.CaffeFileError):
            snapshots.check_snapshot(state, shapes)


def test_another_run_in_the_folder_is_put_aside(whole, world, tmp_path, capsys):
    out = copy_run(whole[1], tmp_path / "out")
    solver = write_solver(tmp_path, world, "lite/cpm", iterations=1)
    assert run(solver, "--out", out) == 0
    printed = capsys.readouterr().out
    assert f"held another training, now in {out / 'before-1'}" in printed
    assert (out / f"before-1/snapshot_iter_{ITERATIONS}.caffemodel").is_file()
    assert not (out / f"snapshot_iter_{ITERATIONS}.caffemodel").exists()
    assert run(solver, "--out", out) == 0
    assert "goes on from iteration 1" in capsys.readouterr().out
    assert run(solver, "--out", out, "--resume", "none") == 0
    assert "before-2" in capsys.readouterr().out


def test_a_folder_with_a_space_in_its_name(world, tmp_path, capsys):
    solver, out = write_solver(tmp_path, world, "lite/cpm", iterations=4), tmp_path / "my training"
    assert run(solver, "--out", out) == 0
    assert (out / "final.caffemodel").is_file() and "warning" not in capsys.readouterr().err
    assert run(solver, "--out", out, "--iterations", 8) == 0
    assert "goes on from iteration 4" in capsys.readouterr().out


def test_a_picture_that_cannot_be_drawn_ends_no_training(world, tmp_path, capsys, monkeypatch):
    def no_font(*_):
        raise OSError(2, "No such file", "a.ttf")

    monkeypatch.setattr(curves, "draw", no_font)
    solver, out = write_solver(tmp_path, world, "lite/cpm", iterations=2), tmp_path / "out"
    assert run(solver, "--out", out) == 0
    assert (out / "final.caffemodel").is_file()
    assert capsys.readouterr().err.count("loss.png is not drawn") == 1


def test_other_data_is_another_run(world, tmp_path, capsys):
    shutil.copytree(world, tmp_path / "world")
    solver, out = write_solver(tmp_path, tmp_path / "world", iterations=1), tmp_path / "out"
    data = tmp_path / "world/data/train.json"
    assert run(solver, "--out", out) == 0
    data.write_text(data.read_text() + "\n")
    assert run(solver, "--out", out) == 0
    assert "before-1" in capsys.readouterr().out


def test_a_full_disk_is_foreseen(whole, world, tmp_path, capsys, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    assert run(write_solver(tmp_path, world), "--out", tmp_path / "out") == 1
    assert_one_line(capsys, "1 MiB are free")


def test_weights_of_another_network_start_where_they_fit(whole, world, tmp_path, capsys):
    _, reference = whole
    solver = write_solver(tmp_path, world, "lite/cpm", SGD.replace("1e-5", "0"), iterations=1)
    net = tmp_path / "net.prototxt"
    text = net.read_text()
    # Another kernel in one layer: Caffe alone would abort at it.
    start = text.index('name: "Mconv2_stage3"')
    smaller = re.sub(
        r"pad: \d+(\s+)kernel_size: \d+", r"pad: 0\1kernel_size: 1", text[start:], count=1
    )
    net.write_text(text[:start] + smaller)
    final = reference / "final.caffemodel"
    out = tmp_path / "out"
    assert run(solver, "--out", out, "--weights", final) == 0
    printed = capsys.readouterr().out
    assert "new: Mconv2_stage3" in printed
    ours = caffe_files.read_weights(out / "final.caffemodel")
    theirs = caffe_files.read_weights(final)
    np.testing.assert_array_equal(ours["Mconv1_stage3"][0], theirs["Mconv1_stage3"][0])
    assert ours["Mconv2_stage3"][0].shape != theirs["Mconv2_stage3"][0].shape


def test_other_weights_to_start_from_are_another_run(whole, world, tmp_path, capsys):
    _, reference = whole
    solver, out = write_solver(tmp_path, world, iterations=4), tmp_path / "out"
    final, middle = reference / "final.caffemodel", reference / "snapshot_iter_8.caffemodel"
    assert run(solver, "--out", out, "--weights", final) == 0
    first = (out / "final.caffemodel").read_bytes()
    # The same, or none at all: what is there goes on.
    for more in (["--weights", final], [], ["--resume", out / "snapshot_iter_4.solverstate"]):
        assert run(solver, "--out", out, *more) == 0
        assert not list(out.glob("before-*"))
        assert "weights" in json.loads((out / "inputs.json").read_text())
    capsys.readouterr()
    assert run(solver, "--out", out, "--weights", middle) == 0
    assert "starts anew" in capsys.readouterr().out
    assert (out / "before-1/final.caffemodel").read_bytes() == first
    assert (out / "final.caffemodel").read_bytes() != first
    assert run(solver, "--out", out, "--resume", "none") == 0
    assert "weights" not in json.loads((out / "inputs.json").read_text())


def test_packed_and_mixed_sources_train(world, tmp_path):
    pack = packed_twin(world, tmp_path / "a.pack")
    mixed = json.dumps({str(pack): 2, str(world / "data/train.json"): 1})
    solver = write_solver(tmp_path, world, "lite/cpm", iterations=2)
    net = tmp_path / "net.prototxt"
    net.write_text(net.read_text().replace(f'"{world / "data/train.json"}"', mixed))
    assert run(solver, "--out", tmp_path / "out") == 0
    digests = json.loads((tmp_path / "out/inputs.json").read_text())
    assert digests.keys() == {str(pack), str(world / "data/train.json")}
    # The index tells the images by their checksums: the whole file need not be read.
    (tmp_path / "world").mkdir()
    shutil.copytree(world / "data", tmp_path / "world/data")
    image = tmp_path / "world/data/1.png"
    image.write_bytes((image.parent / "2.png").read_bytes())
    other = packed_twin(tmp_path / "world", tmp_path / "b.pack")
    assert annotations.digest(pack) == digests[str(pack)] != annotations.digest(other)


def test_an_image_that_cannot_be_used_is_reported(world, tmp_path, capsys):
    shutil.copytree(world, tmp_path / "world")
    (tmp_path / "world/data/2.png").write_bytes(b"no image")
    solver, out = write_solver(tmp_path, tmp_path / "world", "lite/cpm", iterations=8), tmp_path
    assert run(solver, "--out", out / "out") == 0
    printed, errors = capsys.readouterr()
    assert "1 images could not be used" in printed and "caffe.log names them" in printed
    assert "2.png: expected an image, as JPEG, " in errors


def test_curves_are_drawn(whole, tmp_path, capsys):
    _, out = whole
    assert cv2.imread(str(out / "loss.png")).shape[2] == 3
    two = [str(out), str(copy_run(out, tmp_path / "other"))]
    assert curves.main([*two, "--out", str(tmp_path / "both.png")]) == 0
    assert cv2.imread(str(tmp_path / "both.png")).std() > 5
    rows = curves.read(out)
    iterations, losses = curves._column("a", rows, "loss_stage2")
    assert iterations.tolist() == [int(row["iteration"]) for row in rows if row["loss_stage2"]]
    means = curves._means(np.arange(600), losses.repeat(600)[:600])
    assert len(means[0]) == curves.PARTS and means[0][0] == 4.5  # of 0 to 9
    assert curves.main([str(tmp_path), "--out", str(tmp_path / "none.png")]) == 1
    assert_one_line(capsys, "loss.csv")
    (tmp_path / "loss.csv").write_text("iteration,loss\n1,abc\n")
    assert curves.main([str(tmp_path), "--out", str(tmp_path / "none.png")]) == 1
    assert_one_line(capsys, "loss.csv: expected the columns iteration, seconds and loss")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.slow
def test_one_iteration_of_the_papers_network(world, tmp_path, capsys):
    """Six stages at 368 px, forward and backward, one image: does it run, how long, how large."""
    text = tiny_world.adapt(
        PROTOTXT / "lifting/train.prototxt",
        world / "data/train.json",
        world / "prior.npz",
        batch_size=1,
        workers=0,
    )
    solver = write_solver(tmp_path, world, rates=SGD, iterations=1, text=text)
    log = tmp_path / "caffe.log"
    began = time.monotonic()
    with open(log, "w") as sink:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, caffe_process.program(), "train", f"--solver={solver}"],
            cwd=caffe_process.ROOT,
            env={**caffe_process.environment(), "OPENBLAS_NUM_THREADS": "2"},
            stdout=subprocess.PIPE,
            stderr=sink,
            check=False,
        )
    assert done.returncode == 0, caffe_process.last_error(log.read_text())
    memory = int(done.stdout.split()[-1]) / 2**20  # KiB to GiB
    with capsys.disabled():
        print(
            f"\nsix stages, 368 px, batch 1: {time.monotonic() - began:.1f} s with start and end, "
        )
        print(f"{memory:.1f} GiB at most")
    assert memory < 12
    losses = re.findall(r"loss_stage\d = (\S+)", log.read_text())
    assert len(losses) == 6
    assert np.isfinite(np.array(losses, dtype=float)).all()


MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
