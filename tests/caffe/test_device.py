"""How many inputs run at once: by hand for two convolutions, with an nvidia-smi made up."""

import os

import caffe
import pytest

from tools.infer import device

NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "wide" type: "Convolution" bottom: "data" top: "a"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "thin" type: "Convolution" bottom: "a" top: "b"
        convolution_param { num_output: 2 kernel_size: 1 } }
"""
# float32: weights and biases; 27 taps of 64 places unrolled, none for the 1 x 1.
FIXED = 4 * ((4 * 27 + 4) + (2 * 4 + 2) + 27 * 64)
EACH = 4 * 64 * (3 + 4 + 2)


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return caffe.Net(str(path), caffe.TEST)


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A function that puts an nvidia-smi in place, which says a line or fails."""

    def put(line, status=0):
        path = tmp_path / "nvidia-smi"
        path.write_text(f'#!/bin/sh\n[ "$1" = --id=3 ] && echo "{line}"\nexit {status}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return put


def test_the_memory_of_a_network(net):
    assert device.memory(net) == (FIXED, EACH)


def test_as_many_inputs_as_the_free_memory_takes(net, smi, monkeypatch):
    monkeypatch.setattr(device, "USABLE", (FIXED + 5.5 * EACH) / 2**20)
    smi("1")
    assert device.free_memory(3) == 2**20
    assert device.batch_of(net, 3) == 5
    smi("1000")
    assert device.batch_of(net, 3) == device.LARGEST_BATCH
    smi("0")
    assert device.batch_of(net, 3) == 1


def test_a_gpus_name(smi):
    smi("NVIDIA H200")
    assert device.gpu_name(3) == "NVIDIA H200"
    smi("", status=9)
    assert device.gpu_name(3) == "GPU 3"


def test_the_cpu_and_a_gpu_that_does_not_say_have_a_small_batch(net, smi):
    assert device.batch_of(net, None) == device.BATCH
    smi("[N/A]")
    assert device.batch_of(net, 3) == device.BATCH
    smi("", status=9)
    assert device.batch_of(net, 3) == device.BATCH
