"""tools.infer.export: the graphs give what Caffe gives, also where there is no Caffe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import caffe
import cv2
import numpy as np
import onnxruntime
import pytest

import prior
from prior.errors import InputError
from tests.caffe import tiny_world
from tools.caffe_io import process
from tools.caffe_io.files import read_net, read_weights
from tools.infer import export, onnx_graphs
from tools.infer.estimator import Estimator, Network, Person
from tools.infer.onnx_network import OnnxNetwork

PROTOTXT = process.ROOT / "prototxt"
# Random weights put some landmarks where no person can be.
pytestmark = pytest.mark.filterwarnings("ignore:.*poses could not be lifted:UserWarning")


def network(folder, name):
    """A network of prototxt/ with random weights: (deploy, weights), files in a new folder."""
    folder.mkdir(parents=True)
    model = tiny_world.write_prior(folder / "prior.npz")
    deploy, weights = folder / "deploy.prototxt", folder / "random.caffemodel"
    deploy.write_text(tiny_world.adapt(PROTOTXT / name / "deploy.prototxt", prior=model))
    caffe.set_random_seed(7)
    net = caffe.Net(str(deploy), caffe.TEST)
    tiny_world.settle(net)
    rng = np.random.default_rng(1)
    for layer, kind in zip(net._layer_names, net.layers, strict=True):
        if kind.type == "BatchNorm":  # statistics as a training leaves them: sums of batches
            mean, variance, total = kind.blobs
            mean.data[...] = rng.normal(0, 3, mean.data.shape)
            variance.data[...] = rng.uniform(0.5, 2, variance.data.shape) * 4
            total.data[...] = 4
        elif layer.startswith("fusion"):
            kind.blobs[0].data[...] = rng.uniform(0.2, 0.8)
    net.save(str(weights))
    return deploy, weights


@pytest.fixture(scope="module", params=["lite/cpm", "lite/lifting"])
def exported(request, tmp_path_factory):
    """(deploy, weights, folder of the export) of a small network."""
    folder = tmp_path_factory.mktemp("onnx")
    deploy, weights = network(folder / "net", request.param)
    assert export.main([str(deploy), str(weights), "--out", str(folder / "out")]) == 0
    return deploy, weights, folder / "out"


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (150, 130, 3), dtype=np.uint8)


def people():
    rotation = np.diag([1.0, -1, -1])
    boxes = ([10.0, 5, 90, 140], [40.0, 30, 70, 70])
    return [Person(picture(i), np.array(box), rotation) for i, box in enumerate(boxes)]


def test_estimates_are_caffes(exported):
    """Maps to 1e-4, so landmarks to a fraction of a pixel, and the poses of every stage."""
    deploy, weights, folder = exported
    one, other = Network(deploy, weights), OnnxNetwork(folder)
    assert (one.size, one.stride, one.stages, one.lifts) == (
        other.size,
        other.stride,
        other.stages,
        other.lifts,
    )
    assert one.fusion == pytest.approx(other.fusion)
    for a, b in zip(
        Estimator(one).estimates(people()), Estimator(other).estimates(people()), strict=True
    ):
        np.testing.assert_allclose(a.points, b.points, atol=0.02)
        np.testing.assert_allclose(a.beliefs, b.beliefs, atol=0.02)
        np.testing.assert_allclose(a.peak, b.peak, atol=1e-4)
        if one.lifts:
            np.testing.assert_allclose(a.poses, b.poses, atol=0.5)


def test_the_lifting_is_outside(exported):
    """No graph lifts: what comes after a lifting takes the projected maps, and there are two graphs
    or more only where there is a lifting."""
    deploy, _, folder = exported
    document = json.loads((folder / "network.json").read_text())
    kinds = [step["kind"] for step in document["steps"]]
    stages = sum(layer.type == "Python" for layer in read_net(deploy).layer) // 3
    assert kinds == ["run"] + ["lift", "project", "run"] * stages + ["lift"] * (stages > 0)
    files = {step["file"] for step in document["steps"] if step["kind"] == "run"}
    assert {path.name for path in folder.iterdir()} == files | {"network.json"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg/cpm", "lifting"])
def test_the_large_networks(tmp_path, capsys, name):
    deploy, weights = network(tmp_path / "net", name)
    assert export.main([str(deploy), str(weights), "--out", str(tmp_path / "out")]) == 0
    assert "from Caffe's maps" in capsys.readouterr().out


WITHOUT_CAFFE = """
import sys
sys.modules["caffe"] = None  # importing it is an ImportError
from tools.infer import predict
sys.exit(predict.main(sys.argv[1:]))
"""


def test_it_runs_where_there_is_no_caffe(exported, tmp_path):
    """The very file that Caffe's network gives, by tools.infer.predict."""
    deploy, weights, folder = exported
    cv2.imwrite(str(tmp_path / "photo.png"), picture())
    results = {}
    for name, source in (("onnx", [folder]), ("caffe", [deploy, weights])):
        out = tmp_path / f"{name}.json"
        arguments = [
            *map(str, source),
            str(tmp_path / "photo.png"),
            "--box",
            "10",
            "5",
            "90",
            "140",
        ]
        code = WITHOUT_CAFFE if name == "onnx" else WITHOUT_CAFFE.replace("sys.modules", "{}; ({})")
        run = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--out", str(out)],
            env=os.environ | {"GLOG_minloglevel": "3"},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        (results[name],) = [v for k, v in json.loads(out.read_text()).items() if "photo" in k]
    one, other = results["onnx"], results["caffe"]
    np.testing.assert_allclose(one["landmarks"], other["landmarks"], atol=0.03)
    np.testing.assert_allclose(one["confidence"], other["confidence"], atol=2e-4)


# Layers ------------------------------------------------------------------------------------------

LAYERS = """
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: 1 dim: 4 dim: 17 dim: 14 }} }} }}
layer {{ name: "first" type: "Convolution" bottom: "data" top: "first"
  convolution_param {{ num_output: 6 kernel_size: 3 pad: 1
    weight_filler {{ type: "gaussian" std: 0.3 }} bias_filler {{ type: "gaussian" std: 0.3 }} }} }}
{layer}
"""
KINDS = {
    "grouped and dilated": 'type: "Convolution" bottom: "first" convolution_param { num_output: 9 '
    'kernel_size: 3 dilation: 2 group: 3 pad: 1 weight_filler { type: "gaussian" std: 0.3 } }',
    "kernel of two sides": 'type: "Convolution" bottom: "first" convolution_param { num_output: 2 '
    "kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride_h: 2 stride_w: 1 "
    'weight_filler { type: "gaussian" std: 0.3 } }',
    "maximum, rounded up": 'type: "Pooling" bottom: "first" pooling_param { kernel_size: 3 '
    "stride: 2 }",
    "maximum, padded": 'type: "Pooling" bottom: "first" pooling_param { kernel_size: 2 stride: 2 '
    "pad: 1 }",
    "mean, padded": 'type: "Pooling" bottom: "first" pooling_param { pool: AVE kernel_size: 3 '
    "stride: 2 pad: 1 }",
    "mean, rounded up": 'type: "Pooling" bottom: "first" pooling_param { pool: AVE kernel_size: 5 '
    "stride: 3 }",
    "mean of all": 'type: "Pooling" bottom: "first" pooling_param { pool: AVE '
    "global_pooling: true }",
    "leaky": 'type: "ReLU" bottom: "first" relu_param { negative_slope: 0.1 }',
    "enlarged": 'type: "Deconvolution" bottom: "first" convolution_param { num_output: 6 group: 6 '
    'kernel_size: 4 stride: 2 pad: 1 weight_filler { type: "gaussian" std: 0.3 } }',
    "deconvolution": 'type: "Deconvolution" bottom: "first" convolution_param { num_output: 4 '
    'kernel_size: 3 stride: 2 bias_term: false weight_filler { type: "gaussian" std: 0.3 } }',
    "power": 'type: "Power" bottom: "first" power_param { power: 2 scale: 0.5 shift: 1 }',
    "scaled": 'type: "Power" bottom: "first" power_param { scale: 0.5 }',
    "sigmoid": 'type: "Sigmoid" bottom: "first"',
    "dropout": 'type: "Dropout" bottom: "first"',
    "sum": 'type: "Eltwise" bottom: "first" bottom: "first"',
    "difference": 'type: "Eltwise" bottom: "first" bottom: "first" eltwise_param { coeff: 1 '
    "coeff: -0.4 }",
    "product": 'type: "Eltwise" bottom: "first" bottom: "first" eltwise_param { operation: PROD }',
    "concatenated": 'type: "Concat" bottom: "first" bottom: "data"',
}


def small_net(folder, kind):
    deploy, weights = folder / "net.prototxt", folder / "net.caffemodel"
    layer = f'layer {{ name: "last" top: "last" {kind} }}'
    deploy.write_text(LAYERS.format(layer=layer))
    caffe.set_random_seed(3)
    net = caffe.Net(str(deploy), caffe.TEST)
    net.save(str(weights))
    return deploy, weights, net


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_layers_are_caffes(tmp_path, kind):
    deploy, weights, net = small_net(tmp_path, kind)
    (step,) = onnx_graphs.convert(read_net(deploy), read_weights(weights), lambda n: n == "last")
    image = np.random.default_rng(2).normal(size=(2, 4, 17, 14)).astype(np.float32)
    net.blobs["data"].reshape(*image.shape)
    net.blobs["data"].data[...] = image
    net.forward()
    session = onnxruntime.InferenceSession(
        step.model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (made,) = session.run(step.gives, {"data": image})
    assert made.shape == net.blobs["last"].data.shape
    np.testing.assert_allclose(made, net.blobs["last"].data, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ('type: "LRN" bottom: "first"', "layer last: expected one of BatchNorm, .* got LRN"),
        (
            'type: "Pooling" bottom: "first" pooling_param { pool: STOCHASTIC kernel_size: 2 }',
            "layer last: expected the maximum or the mean",
        ),
    ],
)
def test_a_layer_that_onnx_cannot_say_is_named(tmp_path, kind, message):
    deploy, weights, _ = small_net(tmp_path, kind)
    with pytest.raises(InputError, match=message):
        onnx_graphs.convert(read_net(deploy), read_weights(weights), lambda n: n == "last")


# Bad input ---------------------------------------------------------------------------------------


def one_line(capfd, message):
    error = capfd.readouterr().err.strip()
    assert message in error and "\n" not in error, error


def test_what_does_not_fit_is_one_line(exported, tmp_path, capfd):
    deploy, weights, _ = exported
    out = str(tmp_path / "out")
    other = tmp_path / "other"
    _, wrong, _ = small_net(tmp_path, 'type: "ReLU" bottom: "first"')
    assert export.main([str(deploy), str(wrong), "--out", out]) == 1
    one_line(capfd, "layer conv1: expected weights that fit")
    assert export.main([str(tmp_path / "net.prototxt"), str(wrong), "--out", out]) == 1
    one_line(capfd, "expected a deploy network of prototxt/")
    assert export.main([str(deploy), "none.caffemodel", "--out", out]) == 1
    one_line(capfd, "none.caffemodel")
    other.write_text("")
    assert export.main([str(deploy), str(weights), "--out", str(other)]) == 1
    one_line(capfd, "expected a folder, or a new name")
    assert not Path(out).exists()


def test_a_damaged_export_is_said(exported, tmp_path):
    _, _, folder = exported
    for name in ("network.json", "part1.onnx"):
        broken = tmp_path / name
        broken.mkdir()
        for path in folder.iterdir():
            (broken / path.name).write_bytes(path.read_bytes())
        (broken / name).write_bytes((folder / name).read_bytes()[:100])
        with pytest.raises(InputError, match=rf"{name}: .* export it again"):
            OnnxNetwork(broken)


def test_graphs_that_differ_from_caffe_are_not_written(tmp_path, monkeypatch, capfd):
    """Weights of another training beside the network: as if the conversion were wrong."""
    deploy, weights = network(tmp_path / "net", "lite/cpm")
    real = export.read_weights

    def changed(path):
        return {n: [1.01 * b for b in blobs] for n, blobs in real(path).items()}

    monkeypatch.setattr(export, "read_weights", changed)
    assert export.main([str(deploy), str(weights), "--out", str(tmp_path / "out")]) == 1
    one_line(capfd, "expected to be within 0.0001 of Caffe's, got")
    assert not (tmp_path / "out").exists()


def test_a_prior_of_ones_own(exported):
    """The lifting is outside, so another model can be given."""
    deploy, _, folder = exported
    if not OnnxNetwork(folder).lifts:
        assert "lift" not in (folder / "network.json").read_text()
        return
    model = prior.load(deploy.parent / "prior.npz")
    network = OnnxNetwork(folder, model)
    assert network.lifter.model is model
