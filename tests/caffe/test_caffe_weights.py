"""`caffe train --weights` as the plain program does it: training starts from those weights."""

import re
import subprocess
import sys

import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.caffe.training import STILL, caffe_train, write_solver
from tools.caffe_io import files as caffe_files
from tools.caffe_io import process as caffe_process

pytestmark = pytest.mark.usefixtures("one_thread")

# Four samples of three ones through two layers, the second with a twin in the TEST phase alone.
TWO_LAYERS = """
layer {
  name: "numbers" type: "DummyData" top: "ones" top: "zeros"
  dummy_data_param {
    shape { dim: 4 dim: 3 } data_filler { value: 1 }
    shape { dim: 4 dim: 2 } data_filler { value: 0 }
  }
}
layer { name: "first" type: "InnerProduct" bottom: "ones" top: "first"
        inner_product_param { num_output: 2 bias_term: false } }
layer { name: "second" type: "InnerProduct" bottom: "first" top: "second"
        inner_product_param { num_output: 2 bias_term: false } include { phase: TRAIN } }
layer { name: "tested" type: "InnerProduct" bottom: "first" top: "second"
        inner_product_param { num_output: 2 bias_term: false } include { phase: TEST } }
layer { name: "loss" type: "EuclideanLoss" bottom: "second" bottom: "zeros" top: "loss" }
"""

# The first iteration in pycaffe: its loss, and all that the network holds after it.
TWIN = """
import sys, caffe
net = caffe.Net(sys.argv[1], caffe.TRAIN)
net.copy_from(sys.argv[2])
losses = net.forward()
print(sum(float(losses[name]) for name in losses if name.startswith("loss")))
net.save(sys.argv[3])
"""


def trained(folder, solver, *weights):
    """(log, {layer: blobs} of the snapshot) of one iteration from weights."""
    done = caffe_train(solver, "--weights=" + ",".join(map(str, weights)))
    assert done.returncode == 0, caffe_process.last_error(done.stderr)
    (snapshot,) = folder.glob("*_iter_1.caffemodel")
    return done.stderr, caffe_files.read_weights(snapshot)


def two_layers(folder, more=""):
    """The solver of one iteration of TWO_LAYERS."""
    return write_solver(folder, None, rates=f"{STILL} {more}", iterations=1, text=TWO_LAYERS)


def write_weights(path, **layers):
    """A .caffemodel in which all weights of a layer have one value. Returns its path."""
    net = caffe_pb2.NetParameter()
    for name, value in layers.items():
        inputs = 3 if name == "first" else 2
        blob = net.layer.add(name=name, type="InnerProduct").blobs.add()
        blob.shape.dim.extend([2, inputs])
        blob.data.extend([value] * 2 * inputs)
    path.write_bytes(net.SerializeToString())
    return path


def test_the_papers_network_starts_from_weights(world, tmp_path):
    solver = write_solver(tmp_path, world, "lite/lifting", STILL, iterations=1)
    net, weights = tmp_path / "net.prototxt", tmp_path / "weights.caffemodel"
    caffe_process.dry_run(net, save=weights, seed=5)  # the solver's own seed is 1
    log, ours = trained(tmp_path, solver, weights)
    twin = subprocess.run(
        [sys.executable, "-c", TWIN, net, weights, tmp_path / "twin.caffemodel"],
        cwd=caffe_process.ROOT,
        env=caffe_process.environment(),
        capture_output=True,
        text=True,
    )
    assert twin.returncode == 0, twin.stderr
    loss = re.search(r"Iteration 0.*, loss = (\S+)", log)[1]
    assert float(loss) == pytest.approx(float(twin.stdout), rel=1e-5)  # the log has six digits
    theirs = caffe_files.read_weights(tmp_path / "twin.caffemodel")
    assert ours.keys() == theirs.keys()
    for layer, blobs in theirs.items():
        for x, y in zip(ours[layer], blobs, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=layer)
    # What learns has not moved; the rest are running means and the place in the data.
    started = caffe_files.read_weights(weights)
    for layer in "Mconv1_stage3", "fusion_stage2":
        np.testing.assert_array_equal(ours[layer][0], started[layer][0])


@pytest.mark.parametrize(("order", "first"), [("ab", 1), ("ba", 2)])
def test_of_several_files_the_last_with_a_layer_counts(tmp_path, order, first):
    solver = two_layers(tmp_path)
    files = {
        "a": write_weights(tmp_path / "a.caffemodel", first=2, second=3, elsewhere=9),
        "b": write_weights(tmp_path / "b.caffemodel", first=1),
    }
    log, layers = trained(tmp_path, solver, *(files[name] for name in order))
    assert layers.keys() == {"first", "second"}
    assert (layers["first"][0] == first).all() and (layers["second"][0] == 3).all()
    # Each of four samples: two outputs of 2 x 3 x (3 x first); Caffe halves the mean square.
    assert f"Iteration 0, loss = {(18 * first) ** 2}\n" in re.sub(r" \([^)]*\)", "", log)


def test_test_networks_start_from_them_too(tmp_path):
    solver = two_layers(tmp_path, "test_iter: 1 test_interval: 1")
    weights = write_weights(tmp_path / "weights.caffemodel", first=1, second=3, tested=5)
    log, _ = trained(tmp_path, solver, weights)
    # Two outputs of 2 x 5 x 3; the layer `tested` is in no training network.
    assert re.search(r"Test net output #0: loss = (\S+)", log)[1] == "900"


def test_weights_that_cannot_be_read_end_the_program(tmp_path):
    done = caffe_train(two_layers(tmp_path), "--weights=nowhere.caffemodel")
    assert done.returncode != 0 and "nowhere.caffemodel" in caffe_process.last_error(done.stderr)
    assert not list(tmp_path.glob("*_iter_*"))
