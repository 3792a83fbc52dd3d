"""Training on the data layer: resumed to the last bit, in pycaffe and in the `caffe` program, whose
end is its workers' end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import caffe
import numpy as np
import pytest

from python_layers.data import packed
from tests.caffe.layer_net import python_layer
from tests.caffe.seven_people import BATCH, FIXED, TOPS, write_people
from tools.caffe_io import process as caffe_process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path):
    return write_people(tmp_path)


def training(folder, source, workers, max_iter=6):
    """A solver's path: a convolution that learns the label, with a snapshot every 3 iterations."""
    parameters = {
        "source": source,
        "batch_size": BATCH,
        "input_size": 32,
        "augment": True,
        "workers": workers,
    }
    folder.mkdir(exist_ok=True)
    (folder / "train.prototxt").write_text(
        python_layer("pose_data", "PoseDataLayer", parameters, (), TOPS[:4], FIXED, "people")
        + 'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { '
        'num_output: 18 kernel_size: 8 stride: 8 weight_filler { type: "gaussian" std: 0.01 } } }\n'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "label" top: "loss" }\n'
    )
    path = folder / "solver.prototxt"
    path.write_text(
        f'net: "{folder}/train.prototxt" base_lr: 0.001 momentum: 0.9 weight_decay: 0.01 '
        f'lr_policy: "fixed" display: 1 max_iter: {max_iter} snapshot: 3 '
        f'snapshot_prefix: "{folder}/s" random_seed: 1 snapshot_after_train: false'
    )
    return str(path)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, source, workers):
    path = training(tmp_path / "run", source, workers)
    whole = caffe.SGDSolver(path)
    whole.step(6)
    resumed = caffe.SGDSolver(path)
    resumed.restore(str(tmp_path / "run/s_iter_3.solverstate"))
    np.testing.assert_array_equal(resumed.net.params["people"][0].data, [0, 3 * BATCH])
    resumed.step(3)
    np.testing.assert_array_equal(whole.net.blobs["data"].data, resumed.net.blobs["data"].data)
    for i in range(2):
        np.testing.assert_array_equal(
            whole.net.params["conv"][i].data, resumed.net.params["conv"][i].data
        )
    for solver in whole, resumed:
        solver.net.layers[0].stop()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_on_mixed_packed_sources(tmp_path, source, workers):
    """To the last bit, with a damaged image in one of the sources."""
    document = json.loads(Path(source).read_text())
    for name in "ab":
        with packed.Writer(tmp_path / f"{name}.pack", document["cameras"]) as writer:
            for image, person in zip(document["images"], document["annotations"], strict=True):
                data = (tmp_path / image["file_name"]).read_bytes()
                writer.add(image, [person], data)
    damaged = bytearray((tmp_path / "b.pack").read_bytes())
    damaged[packed.HEADER.size + 100] ^= 1
    (tmp_path / "b.pack").write_bytes(damaged)
    mixed = {str(tmp_path / "a.pack"): 2, str(tmp_path / "b.pack"): 3}
    path = training(tmp_path / "run", mixed, workers)
    whole, resumed = caffe.SGDSolver(path), caffe.SGDSolver(path)
    whole.step(6)
    resumed.restore(str(tmp_path / "run/s_iter_3.solverstate"))
    resumed.step(3)
    for name in TOPS[:4]:
        np.testing.assert_array_equal(whole.net.blobs[name].data, resumed.net.blobs[name].data)
    for one, other in zip(whole.net.params["conv"], resumed.net.params["conv"], strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    assert len(whole.net.layers[0].damaged) == 1
    for solver in whole, resumed:
        solver.net.layers[0].stop()


# In the program -------------------------------------------------------------------------------


@pytest.fixture
def program():
    """Starts `caffe` with some arguments, its output as text; ends it after the test."""
    binary = caffe_process.program()
    # It embeds Python: what this interpreter can import, it can.
    path = os.pathsep.join(map(str, [ROOT, *filter(None, sys.path)]))
    started = []

    def program(*arguments):
        started.append(
            subprocess.Popen(
                [binary, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": path, "GLOG_minloglevel": "0"},
            )
        )
        return started[-1]

    yield program
    for process in started:
        with process:
            process.kill()


def run_through(process):
    """Its exit code and output."""
    text, _ = process.communicate(timeout=60)
    return process.returncode, text


def losses(text):
    return [line.split("loss = ")[1] for line in text.splitlines() if ", loss = " in line]


def test_the_program_trains_and_resumes_with_workers(tmp_path, source, program):
    solver = training(tmp_path / "run", source, workers=2)
    code, text = run_through(program("train", f"--solver={solver}"))
    assert code == 0, text
    snapshot = tmp_path / "run/s_iter_3.solverstate"
    code, resumed = run_through(program("train", f"--solver={solver}", f"--snapshot={snapshot}"))
    assert code == 0, resumed
    assert len(losses(resumed)) >= 3
    assert losses(resumed) == losses(text)[-len(losses(resumed)) :]


def test_the_program_ends_with_one_line_that_says_what_to_do(tmp_path, program):
    solver = training(tmp_path / "run", str(tmp_path / "none.json"), workers=1)
    code, text = run_through(program("train", f"--solver={solver}"))
    assert code != 0
    last = text.strip().splitlines()[-1]
    assert "PoseDataLayer: source:" in last and "none.json: no such file" in last


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_workers_end_with_the_program(tmp_path, source, program, how):
    solver = training(tmp_path / "run", source, workers=2, max_iter=1_000_000)
    process = program("train", f"--solver={solver}", "--sigint_effect=stop")
    for line in process.stdout:
        if "Iteration 3" in line:
            break
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(how)
    run_through(process)
    assert wait_for(lambda: not any(map(alive, workers)), 5)
