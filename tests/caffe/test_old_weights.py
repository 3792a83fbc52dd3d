"""Weights in the formats that Caffe wrote until 2014, read as Caffe's own upgrade reads them."""

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from prototxt import machines, networks
from tests.caffe import tiny_world
from tools.caffe_io import files as caffe_files
from tools.train import transfer_weights

# A convolution and an inner product that Caffe can load the old files into.
NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 5 dim: 5 }
layer { name: "conv1_1" type: "Convolution" bottom: "data" top: "a"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "fc6" type: "InnerProduct" bottom: "a" top: "b"
        inner_product_param { num_output: 2 } }
"""
# (num, channels, height, width) of each blob as the old formats have it, and the shape now.
SHAPES = {
    "conv1_1": (((4, 3, 3, 3), (4, 3, 3, 3)), ((1, 1, 1, 4), (4,))),
    "fc6": (((1, 1, 2, 100), (2, 100)), ((1, 1, 1, 2), (2,))),
}


def fill(blobs, shapes, rng):
    """Add arrays of these old shapes to a layer's blobs; returns them in the new ones."""
    arrays = []
    for old, new in shapes:
        array = rng.normal(size=old).astype(np.float32)
        blob = blobs.add(data=array.ravel().tolist())
        blob.num, blob.channels, blob.height, blob.width = old
        arrays.append(array.reshape(new))
    return arrays


def write(path, version):
    """A file with SHAPES in the format V0 or V1, between layers that have no weights; the arrays
    by layer."""
    net, rng, arrays = caffe_pb2.NetParameter(name="VGG"), np.random.default_rng(0), {}
    kinds = {"conv1_1": ("CONVOLUTION", "conv"), "fc6": ("INNER_PRODUCT", "innerproduct")}
    for name, shapes in SHAPES.items():
        new, old = kinds[name]
        if version == "V1":
            layer = net.layers.add(name=name, type=new)
        else:
            layer = net.layers.add().layer
            layer.name, layer.type = name, old
        arrays[name] = fill(layer.blobs, shapes, rng)
        net.layers.add(name=f"relu_{name}", type="RELU")
    path.write_bytes(net.SerializeToString())
    return arrays


@pytest.mark.parametrize("version", ["V0", "V1"])
def test_old_weights_are_those_that_caffe_reads(tmp_path, version):
    arrays = write(tmp_path / "old.caffemodel", version)
    ours = caffe_files.read_weights(tmp_path / "old.caffemodel")
    assert ours.keys() == arrays.keys()
    for name, blobs in arrays.items():
        for mine, expected in zip(ours[name], blobs, strict=True):
            np.testing.assert_array_equal(mine, expected)
    # And what is written of them, Caffe reads.
    caffe_files.copy_weights(
        tmp_path / "new.caffemodel", (tmp_path / "old.caffemodel", set(arrays))
    )
    (tmp_path / "net.prototxt").write_text(NET)
    net = caffe.Net(str(tmp_path / "net.prototxt"), str(tmp_path / "new.caffemodel"), caffe.TEST)
    for name, blobs in arrays.items():
        for loaded, expected in zip(net.params[name], blobs, strict=True):
            np.testing.assert_array_equal(loaded.data, expected)


def test_caffes_own_upgrade_agrees(tmp_path):
    write(tmp_path / "old.caffemodel", "V1")
    (tmp_path / "net.prototxt").write_text(NET)
    net = caffe.Net(str(tmp_path / "net.prototxt"), str(tmp_path / "old.caffemodel"), caffe.TEST)
    for name, blobs in caffe_files.read_weights(tmp_path / "old.caffemodel").items():
        for theirs, ours in zip(net.params[name], blobs, strict=True):
            np.testing.assert_array_equal(theirs.data, ours)


def test_imagenets_weights_start_the_variant(tmp_path, capsys):
    """The ten convolutions that CPM's later variant has of VGG-19 are copied, all else is new."""
    data = tiny_world.write_data(tmp_path / "data")
    model = tiny_world.write_prior(tmp_path / "prior.npz")
    trunk = [row for row in machines.VGG.trunk if isinstance(row, machines.Conv)]
    thin = machines.VGG._replace(
        input=64,
        batch=1,
        stages=2,
        trunk=tuple(
            r._replace(channels=r.channels // 16) if isinstance(r, machines.Conv) else r
            for r in machines.VGG.trunk
        ),
    )
    path = tmp_path / "train.prototxt"
    path.write_text(networks.text(networks.network(thin, lifting=True, train=True)))
    path.write_text(tiny_world.adapt(path, data, model))
    net, rng, channels = caffe_pb2.NetParameter(), np.random.default_rng(0), 3
    for row in [*trunk[:10], machines.Conv("conv4_3", 3, 512), machines.Conv("conv5_4", 3, 512)]:
        layer = net.layers.add(name=row.name, type="CONVOLUTION")
        outs = row.channels // 16
        fill(layer.blobs, [((outs, channels, 3, 3), (outs, channels, 3, 3))], rng)
        fill(layer.blobs, [((1, 1, 1, outs), (outs,))], rng)
        channels = outs
    (tmp_path / "vgg19.caffemodel").write_bytes(net.SerializeToString())
    arguments = [str(tmp_path / "vgg19.caffemodel"), str(path), "--out", str(tmp_path / "start")]
    assert transfer_weights.main(arguments) == 0
    assert "10 copied, 0 resized" in capsys.readouterr().out
    started = caffe_files.read_weights(tmp_path / "start")
    theirs = caffe_files.read_weights(tmp_path / "vgg19.caffemodel")
    for name in ("conv1_1", "conv2_2", "conv3_4", "conv4_2"):
        for ours, expected in zip(started[name], theirs[name], strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert "conv4_3" not in started and "conv4_3_CPM" in started


def test_an_old_file_cut_short_is_one_line(tmp_path):
    write(tmp_path / "old.caffemodel", "V1")
    whole = (tmp_path / "old.caffemodel").read_bytes()
    (tmp_path / "old.caffemodel").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(caffe_files.CaffeFileError, match="cut short"):
        caffe_files.read_weights(tmp_path / "old.caffemodel")


def test_an_old_blob_of_an_impossible_shape_is_refused(tmp_path):
    net = caffe_pb2.NetParameter()
    fill(
        net.layers.add(name="fc6", type="INNER_PRODUCT").blobs,
        [((2, 2, 2, 3), (8, 3))],
        np.random.default_rng(0),
    )
    (tmp_path / "old.caffemodel").write_bytes(net.SerializeToString())
    with pytest.raises(caffe_files.CaffeFileError, match="InnerProduct has the shape"):
        caffe_files.read_weights(tmp_path / "old.caffemodel")
