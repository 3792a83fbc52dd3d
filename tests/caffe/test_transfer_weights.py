"""tools/train/transfer_weights.py, on caffemodels with the released layers' names and shapes."""

import numpy as np
import pytest
from caffe.proto import caffe_pb2

from prototxt import machines, networks
from tests.caffe import tiny_world
from tests.caffe.test_networks import ORIGINAL, rows
from tests.caffe.training import STILL, caffe_train, write_solver
from tools.caffe_io import files as caffe_files
from tools.caffe_io import process as caffe_process
from tools.train import transfer_weights

MPII_MAPS = 15  # 14 landmarks and the background
# The released layers are large; tests make them with this many times fewer channels.
SMALLER = 16


def thinner(channels):
    """The channels of a layer in the small twin; images and maps keep theirs."""
    return channels if channels in (3, 15, 18, 48, 51) else channels // SMALLER


def write_released(path, maps=MPII_MAPS):
    """A CPM of 14 landmarks, as it is released: layers by the paper's table. Returns {name: W}."""
    net = caffe_pb2.NetParameter(name="CPM")
    rng = np.random.default_rng(0)
    weights = {}
    for name, kernel, before, after, _ in rows(ORIGINAL):
        ins = 32 // SMALLER + maps + 1 if before == 51 else thinner(before)
        outs = maps if after == 18 else thinner(after)
        layer = net.layer.add(name=name, type="Convolution")
        weights[name] = rng.normal(size=(outs, ins, kernel, kernel)).astype(np.float32)
        for value in weights[name], np.full(outs, 2.5, np.float32):
            blob = layer.blobs.add()
            blob.shape.dim.extend(value.shape)
            blob.data.extend(value.ravel())
    # The released files have layers without weights too.
    net.layer.add(name="pool1_stage1", type="Pooling")
    path.write_bytes(net.SerializeToString())
    return weights


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(folder, the small twin of lifting/train_finetune.prototxt)."""
    folder = tmp_path_factory.mktemp("world")
    data = tiny_world.write_data(folder / "data")
    prior = tiny_world.write_prior(folder / "prior.npz")

    def thin(row):
        if not isinstance(row, machines.Conv):
            return row
        return row._replace(channels=thinner(row.channels))

    m = machines.CPM
    small = m._replace(
        input=64,
        batch=1,
        view=thinner(m.view),
        kept_rate=1e-3,
        **{part: tuple(map(thin, getattr(m, part))) for part in ("trunk", "head", "refine")},
    )
    paths = {}
    for name, machine in (("finetune", small), ("scratch", small._replace(kept_rate=None))):
        paths[name] = folder / f"{name}.prototxt"
        paths[name].write_text(networks.text(networks.network(machine, lifting=True, train=True)))
        paths[name].write_text(tiny_world.adapt(paths[name], data, prior))
    return folder, paths


def test_layers_are_copied_by_name_and_shape_and_the_others_start_anew(world, capsys):
    folder, nets = world
    released = write_released(folder / "cpm.caffemodel")
    out = folder / "start.caffemodel"
    arguments = [str(folder / "cpm.caffemodel"), str(nets["finetune"]), "--out", str(out)]
    assert transfer_weights.main(arguments) == 0
    transferred = caffe_files.read_weights(out)
    resized = {"conv7_stage1"} | {f"Mconv{i}_stage{t}" for i in (1, 5) for t in range(2, 7)}
    assert transferred.keys() == released.keys() | {f"fusion_stage{t}" for t in range(1, 7)}
    for name, weights in released.items():
        if name in resized:
            assert transferred[name][0].shape != weights.shape
            assert (
                0.005 < transferred[name][0].std() < 0.015 and not transferred[name][1].any()
            )  # CPM's filler
        else:
            np.testing.assert_array_equal(transferred[name][0], weights)
            assert (transferred[name][1] == 2.5).all()
    assert transferred["fusion_stage3"][0] == [0.5]
    printed, errors = capsys.readouterr()
    assert f"{len(released) - 11} copied, 11 resized, 6 new, 0 left" in printed and not errors
    line = next(line for line in printed.splitlines() if line.startswith("conv7_stage1"))
    assert line.split() == "conv7_stage1 resized 18 x 32 x 1 x 1 15 x 32 x 1 x 1 1".split()
    assert "conv1_stage1   copied   8 x 3 x 9 x 9" in printed
    # The same seed gives the same file, another one other fresh layers.
    first = out.read_bytes()
    assert transfer_weights.main(arguments) == 0 and out.read_bytes() == first
    assert transfer_weights.main([*arguments, "--seed", "1"]) == 0
    assert out.read_bytes() != first


def test_caffe_train_starts_from_what_is_written(world, tmp_path):
    folder, nets = world
    write_released(folder / "cpm.caffemodel")
    out = folder / "start.caffemodel"
    transfer_weights.transfer(folder / "cpm.caffemodel", nets["finetune"], out)
    text = nets["finetune"].read_text()
    solver = write_solver(tmp_path, None, rates=STILL, iterations=1, text=text)
    done = caffe_train(solver, f"--weights={out}")
    assert done.returncode == 0, caffe_process.last_error(done.stderr)
    (snapshot,) = tmp_path.glob("*_iter_1.caffemodel")
    started, ended = caffe_files.read_weights(out), caffe_files.read_weights(snapshot)
    assert ended.keys() == started.keys() | {"pose_data"}
    for layer, blobs in started.items():
        for x, y in zip(blobs, ended[layer], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=layer)


def test_copied_layers_that_learn_fast_are_warned_of(world, capsys):
    folder, nets = world
    write_released(folder / "cpm.caffemodel")
    out = folder / "fast.caffemodel"
    arguments = [str(folder / "cpm.caffemodel"), str(nets["scratch"]), "--out", str(out)]
    assert transfer_weights.main(arguments) == 0
    assert "copied layers learn as fast as new ones" in capsys.readouterr().err


def test_weights_of_another_network_are_refused(world, capsys):
    folder, nets = world
    other = caffe_pb2.NetParameter()
    blob = other.layer.add(name="fc6", type="InnerProduct").blobs.add(data=[1.0])
    blob.shape.dim.append(1)
    (folder / "other.caffemodel").write_bytes(other.SerializeToString())
    (folder / "damaged.caffemodel").write_bytes(b"no weights")
    before = set(folder.iterdir())
    for name, message in (
        ("other", "got none; its first is fc6"),
        ("damaged", "not a whole"),
        ("none", "cannot be read"),
    ):
        out = str(folder / "out.caffemodel")
        source = str(folder / f"{name}.caffemodel")
        assert transfer_weights.main([source, str(nets["finetune"]), "--out", out]) == 1
        error = capsys.readouterr().err
        assert error.startswith("python -m tools.train.transfer_weights: ")
        assert message in error and error.count("\n") == 1
    assert set(folder.iterdir()) == before


def test_what_is_only_in_the_source_is_listed():
    source = {"a": [[2, 3], [2]], "b": [[4], [4]], "d": [[1]]}
    shapes = {"a": [[2, 3], [2]], "b": [[5], [5]], "c": [[7]]}
    rows = transfer_weights.compare(shapes, source, {"a": 1e-3, "b": 1.0, "c": 1.0})
    assert [(r.layer, r.fate) for r in rows] == [
        ("a", "copied"),
        ("b", "resized"),
        ("c", "new"),
        ("d", "left"),
    ]
    assert transfer_weights.out_of_step(rows) == []
    rows = transfer_weights.compare(shapes, source, {"a": 1.0, "b": 1.0, "c": 1.0})
    assert transfer_weights.out_of_step(rows) == ["a"]
