"""Training as a user does it: the plain `caffe` in a new shell, with the files as they are here."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from caffe.proto import caffe_pb2

from tests.caffe import tiny_world
from tools.caffe_io import files as caffe_files
from tools.caffe_io import process as caffe_process

ROOT = caffe_process.ROOT
BARE = {"HOME": os.path.expanduser("~"), "PATH": "/usr/bin:/bin"}
SOLVER = "prototxt/lite/lifting/solver.prototxt"
# Typed into the shell.
SAY = """
command -v caffe
cd /
python -c 'import caffe, numpy, python_layers; print(python_layers.__file__)'
"""
PATIENCE = 120  # s, many times what a start takes


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone with tiny data, the virtual environment and Caffe of this one, and build/env.sh."""
    tree = tmp_path_factory.mktemp("clone") / "tree"
    skipped = shutil.ignore_patterns("build", ".git", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, tree, ignore=skipped)
    tiny_world.write_data(tree / "build/data")
    tiny_world.write_prior(tree / "build/prior.npz")
    (tree / "build/venv").symlink_to(ROOT / "build/venv")
    make(tree, "build/env.sh")
    return tree


def make(tree, *arguments, shell="/bin/bash", **options):
    """Run make in a bare environment of a user of that shell; returns the process, ended."""
    return subprocess.run(
        ["make", *arguments, f"CAFFE_ROOT={caffe_process.caffe_root()}"],
        cwd=tree,
        env={**BARE, "SHELL": shell},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        **options,
    )


@contextmanager
def running(tree, command):
    """The process of a new bash that sources build/env.sh and runs a command; as at a terminal, the
    two and what they start are one group of processes. What they say goes to shell.log."""
    with (
        open(tree / "shell.log", "w") as log,
        subprocess.Popen(
            ["bash", "-c", f"source build/env.sh && {command}"],
            cwd=tree,
            env=BARE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(text, tree, process):
    """Until the log has the text."""
    until = time.monotonic() + PATIENCE
    while text not in (log := (tree / "shell.log").read_text()):
        assert process.poll() is None and time.monotonic() < until, log[-3000:]
        time.sleep(0.05)


def snapshots(tree):
    """{iteration: path} of the states that the shipped solver left."""
    states = (tree / "build/snapshots").glob("lite-lifting_iter_*.solverstate")
    return {caffe_files.read_state(path).iteration: path for path in states}


def test_the_shipped_solver_trains_stops_and_goes_on(tree):
    readme = (tree / "README.md").read_text()
    assert f"    caffe train --solver={SOLVER}\n" in readme and "source build/env.sh" in readme
    with running(tree, f"caffe train --solver={SOLVER}") as process:
        wait_for("Iteration 20", tree, process)
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C: a snapshot, and the end
        assert process.wait(PATIENCE) == 0
    log = (tree / "shell.log").read_text()
    assert "Traceback" not in log
    losses = [float(loss) for loss in re.findall(r"Iteration \d+.*, loss = (\S+)", log)]
    assert len(losses) == 2 and losses[1] < losses[0]
    ((iteration, state),) = snapshots(tree).items()
    assert iteration > 20
    resumed = f"caffe train --solver={SOLVER} --snapshot={state.relative_to(tree)}"
    with running(tree, resumed) as process:
        wait_for("Starting Optimization", tree, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert max(snapshots(tree)) > iteration


def test_every_solver_finds_the_folder_of_its_snapshots(tree):
    shutil.rmtree(tree / "build/snapshots", ignore_errors=True)
    with running(tree, "true") as process:
        assert process.wait(PATIENCE) == 0
    solvers = list((tree / "prototxt").rglob("solver*.prototxt"))
    assert len(solvers) == 16
    for path in solvers:
        prefix = caffe_files.read_text(path, caffe_pb2.SolverParameter()).snapshot_prefix
        assert (tree / prefix).parent.is_dir(), path


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_make_shell_is_that_shell(tree, shell):
    if not (path := shutil.which(shell)):
        pytest.skip(f"no {shell} here")
    # What make itself would set up for the shell is there already: -o.
    done = make(tree, "shell", "-o", "caffe", shell=path, input=SAY)
    assert done.stdout.splitlines() == [
        str(caffe_process.program()),
        str(tree / "python_layers/__init__.py"),
    ]
