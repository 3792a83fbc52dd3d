"""Fits on a cluster, each in a process of its own, with the workers that are its children."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import prior
from prior import cluster
from prior.errors import InputError
from tests.poses import random_poses

pytest.importorskip("distributed", reason="an extra: requirements-dask.txt")

FIT = [sys.executable, "-m", "prior", "fit"]
HOW = ["--basis", "3", "--components", "2", "--limit", "4"]


def fit(folder, out, *options):
    command = [*FIT, str(folder), "--out", str(out), *HOW, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """170,000 poses, three tasks of a cluster, in two files."""
    folder = tmp_path_factory.mktemp("partitions")
    poses = np.tile(random_poses(5000).astype(np.float32), (17, 1, 1))
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", poses)
    return folder


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """The model of one process."""
    out = tmp_path_factory.mktemp("alone") / "model.npz"
    finished(fit(folder, out, "--partitions", "--solver", "closed-form"))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_the_same_bytes_on_two_workers_even_if_one_is_killed(folder, alone, tmp_path, killed):
    out = tmp_path / "model.npz"
    process = fit(folder, out, "--dask", "local:2", "--solver", "closed-form")
    if killed:
        assert kill_a_worker(process)
    assert "170000 poses in 2 files" in finished(process)
    assert out.read_bytes() == alone.read_bytes()
    assert prior.load(out).meta["poses"] == 170_000


def kill_a_worker(process):
    """Kill a child of a fit that has been at work for a while. Whether there was one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        busy = [child for child in children(process.pid) if seconds_of_work(child) > 4]
        if busy:
            os.kill(busy[0], signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def children(parent):
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def seconds_of_work(process):
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["ceres", "ceres-joint"])
def test_ceres_gives_the_same_bytes_in_the_workers(tmp_path, solver):
    np.save(tmp_path / "a.npy", random_poses(600).astype(np.float32))
    models = [tmp_path / "alone.model", tmp_path / "cluster.model"]
    for out, where in zip(models, (["--partitions"], ["--dask", "local:1"]), strict=True):
        finished(fit(tmp_path, out, *where, "--solver", solver))
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.slow
def test_poses_in_other_units_and_an_unknown_scheduler_are_one_line(tmp_path):
    np.save(tmp_path / "a.npy", random_poses(50).astype(np.float32) / 1000)
    process = fit(tmp_path, tmp_path / "model", "--dask", "local:1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "are they in metres?" in err.splitlines()[-1]
    # One that does not answer, and a port at which nobody is.
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert f"a scheduler with workers at {address}, got none" in refused(tmp_path, address)
    assert f"a scheduler with workers at {address}, got none" in refused(tmp_path, address)


def refused(folder, address):
    """The last line of a fit with a cluster that is not there."""
    process = fit(folder, folder / "model", "--dask", address)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    return err.splitlines()[-1]


@pytest.mark.parametrize("address", ["local:", "local:0", "local:two"])
def test_no_number_of_processes(address):
    with pytest.raises(InputError, match="expected local:N"):
        cluster.Cluster(address)


@pytest.mark.slow
def test_what_partitions_do_not_go_with_is_one_line(tmp_path):
    process = fit(tmp_path, tmp_path / "model", "--partitions", "--rate", "10")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "one folder, whose poses are taken as they are" in err
