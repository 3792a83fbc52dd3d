"""A GPU computes what the CPU does, to rounding. With cuDNN, which multiplies numbers rounded to 10
bits unless it is told not to, run with NVIDIA_TF32_OVERRIDE=0."""

import csv
import json
import re

import caffe
import cv2
import numpy as np
import pytest
import skimage.data

from tests.caffe import tiny_world, training
from tests.caffe.test_depthwise import NET, SHAPES
from tests.gpu.lockstep import differences
from tools.caffe_io import process as caffe_process
from tools.infer import predict

NETWORKS = [size + kind for size in ("", "vgg/", "lite/", "small/") for kind in ("cpm", "lifting")]
# Parts of the largest value of a blob: sums of some thousand terms of float32, whose rounding is
# 6e-8, in another order.
ROUNDING = 2e-4


def both(path, weights):
    """One network twice, with the same weights, for the CPU and for the GPU."""
    caffe.set_mode_cpu()
    caffe.set_random_seed(1)
    cpu = caffe.Net(str(path), caffe.TRAIN)
    cpu.save(str(weights))
    return cpu, caffe.Net(str(path), str(weights), caffe.TRAIN)


def stop_data(*nets):
    for net in nets:
        net.layers[list(net._layer_names).index("pose_data")].stop()


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_forward_and_backward(network, world, tmp_path):
    path = tmp_path / "train.prototxt"
    original = caffe_process.ROOT / f"prototxt/{network}/train.prototxt"
    data, prior = world / "data/train.json", world / "prior.npz"
    text = tiny_world.adapt(original, data, prior, batch_size=2, workers=0)
    # What is dropped is drawn anew.
    path.write_text(re.sub(r"dropout_ratio: [\d.]+", "dropout_ratio: 0", text))
    cpu, gpu = both(path, tmp_path / "weights.caffemodel")
    apart = differences(cpu, gpu)
    stop_data(cpu, gpu)
    worst = max(apart, key=apart.get)
    print(f"{network}: {len(apart)} blobs, at most {apart[worst]:.1e} apart: {worst}")
    assert len(apart) > 100 and apart[worst] < ROUNDING, worst


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "dilation"), SHAPES)
def test_convolutions_of_each_channel_by_itself(tmp_path, size, kernel, stride, pad, dilation):
    channels = 5
    path = tmp_path / "net.prototxt"
    numbers = (channels, *size, channels, channels, *kernel, *stride, *pad, dilation)
    path.write_text(NET % (*numbers, "true"))
    cpu, gpu = both(path, tmp_path / "weights.caffemodel")
    rng = np.random.default_rng(0)
    cpu.blobs["x"].data[...] = gpu.blobs["x"].data[...] = rng.normal(size=cpu.blobs["x"].shape)
    cpu.blobs["y"].diff[...] = rng.normal(size=cpu.blobs["y"].shape)
    for one, other in zip(cpu.params["y"], gpu.params["y"], strict=True):
        other.data[...] = one.data[...] = rng.normal(size=one.shape)
    apart = differences(cpu, gpu)
    assert len(apart) == 5 and max(apart.values()) < 1e-5, apart


@pytest.mark.parametrize("network", ["lite/cpm", "small/cpm"])
def test_a_hundred_iterations(network, world, tmp_path, gpu):
    """Each starts from the last one's weights, so that rounding grows: to 3e-3 on an H200."""
    losses = []
    for name, options in ("cpu", ()), ("gpu", ("--gpu", gpu)):
        solver = training.write_solver(
            tmp_path / f"{name}-solver", world, net=network, rates=training.SGD, iterations=100
        )
        assert training.run(solver, "--out", tmp_path / name, *options) == 0
        with open(tmp_path / name / "loss.csv") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    cpu, other = np.array(losses)
    assert len(cpu) >= 100
    apart = np.abs(cpu - other) / cpu
    print(f"{network}: losses at most {apart.max():.1e} apart, the first {apart[0]:.1e}")
    assert apart[0] < 1e-5 and apart.max() < 1e-2


def test_a_photograph_is_lifted_alike(tmp_path, gpu):
    photograph = tmp_path / "astronaut.png"
    cv2.imwrite(str(photograph), skimage.data.astronaut()[..., ::-1])
    cpu, other = {}, {}
    for answer, options in (cpu, ()), (other, ("--gpu", gpu)):
        out = tmp_path / f"{len(options)}.json"
        arguments = [photograph, "--box", 60, 0, 350, 512, "--out", out, *options]
        assert predict.main(list(map(str, arguments))) == 0
        (image,) = [one for one in json.loads(out.read_text()).values() if "pose_mm" in one]
        answer |= image
    for name, tolerance in ("landmarks", 0.01), ("confidence", 1e-5), ("pose_mm", 0.5):
        assert np.allclose(cpu[name], other[name], rtol=0, atol=tolerance), name


def test_a_gpu_that_is_not_there_is_one_line(world, tmp_path, capsys):
    solver = training.write_solver(tmp_path / "solver", world, iterations=1)
    assert training.run(solver, "--out", tmp_path / "out", "--gpu", 99) == 1
    error = capsys.readouterr().err
    assert "--gpu 99: expected a GPU of that number" in error and error.count("\n") == 1
