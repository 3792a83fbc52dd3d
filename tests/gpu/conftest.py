"""Which GPU, and the CPU again after each test. Run by make test-gpu GPU=ID, with a Caffe for
GPUs."""

import os

import caffe
import pytest

from tests.caffe.conftest import world  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def gpu():
    """The GPU's number."""
    return int(os.environ["GPU"])


@pytest.fixture(autouse=True)
def cpu_again(gpu):
    caffe.set_device(gpu)
    yield
    caffe.set_mode_cpu()
