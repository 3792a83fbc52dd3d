"""Fixtures of several test files."""

import os

import numpy as np
import pytest

import prior
from tests import poses, shapes
from tests.caffe import tiny_world


@pytest.fixture(scope="module", autouse=True)
def checked_processes():
    """Shapes in signatures are checked in the processes that tests start."""
    path = os.pathsep.join([*shapes.__path__, os.environ["PYTHONPATH"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A prior's path."""
    path = tmp_path_factory.mktemp("prior") / "prior.npz"
    prior.fit(poses.random_poses(300), components=2, basis=6, solver="closed-form").save(path)
    return str(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data/train.json and prior.npz."""
    folder = tmp_path_factory.mktemp("world")
    tiny_world.write_data(folder / "data")
    tiny_world.write_prior(folder / "prior.npz")
    return folder


@pytest.fixture
def one_thread(monkeypatch):
    # Sums in one order, so that runs compare to the last bit.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
