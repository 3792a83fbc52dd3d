"""The networks in prototxt/: up to date, loaded by Caffe, and the paper's figure 1."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from prior import skeleton
from prototxt import generate, machines, networks, sizes
from prototxt.solvers import SEED
from python_layers import lifting
from tests.caffe import tiny_world
from tests.hands import HAND
from tools.caffe_io import process as caffe_process

HERE = Path(generate.__file__).parent
FILES = sorted(HERE.rglob("*.prototxt"))
NETS = [path for path in FILES if "solver" not in path.name]
FOLDERS = [size + kind for size in ("", "vgg/", "lite/", "small/") for kind in ("cpm", "lifting")]

# In one process for all, apart from this one, which Caffe would abort at a bad network.
LOAD = """
import json, sys, caffe
loaded = {}
for name, path in json.load(sys.stdin).items():
    net = caffe.Net(path, caffe.TRAIN if "train" in name else caffe.TEST)
    loaded[name] = {
        "params": {k: [list(b.data.shape) for b in v] for k, v in net.params.items()},
        "blobs": {k: list(v.data.shape) for k, v in net.blobs.items()},
    }
    del net
json.dump(loaded, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """{"cpm/train.prototxt": {"params": {layer: shapes}, "blobs": {name: shape}}}."""
    folder = tmp_path_factory.mktemp("networks")
    data = tiny_world.write_data(folder / "data")
    prior = tiny_world.write_prior(folder / "prior.npz")
    paths = {}
    for path in NETS:
        name = str(path.relative_to(HERE))
        paths[name] = str(folder / name.replace("/", "-"))
        Path(paths[name]).write_text(tiny_world.adapt(path, data, prior))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, folder / "loaded.json"],
        input=json.dumps(paths),
        cwd=caffe_process.ROOT,
        env=caffe_process.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, caffe_process.last_error(done.stderr)
    return json.loads((folder / "loaded.json").read_text())


def read(path):
    kind = caffe_pb2.SolverParameter if "solver" in path.name else caffe_pb2.NetParameter
    return text_format.Parse(path.read_text(), kind())


def layers(name):
    return {layer.name: layer for layer in read(HERE / name).layer}


# Figure 1 and Wei et al., figure 2, by hand. (layer, kernel, channels in, channels out, map side)
ORIGINAL = """
conv1_stage1   9   3 128 368
conv2_stage1   9 128 128 184
conv3_stage1   9 128 128  92
conv4_stage1   5 128  32  46
conv5_stage1   9  32 512  46
conv6_stage1   1 512 512  46
conv7_stage1   1 512  18  46
conv1_stage2   9   3 128 368
conv2_stage2   9 128 128 184
conv3_stage2   9 128 128  92
conv4_stage2   5 128  32  46
Mconv1_stage2 11  51 128  46
Mconv2_stage2 11 128 128  46
Mconv3_stage2 11 128 128  46
Mconv4_stage2  1 128 128  46
Mconv5_stage2  1 128  18  46
""" + "".join(
    f"""
conv1_stage{t}   5 128  32  46
Mconv1_stage{t} 11  51 128  46
Mconv2_stage{t} 11 128 128  46
Mconv3_stage{t} 11 128 128  46
Mconv4_stage{t}  1 128 128  46
Mconv5_stage{t}  1 128  18  46
"""
    for t in (3, 4, 5, 6)
)
VARIANT = """
conv1_1       3   3  64 368
conv1_2       3  64  64 368
conv2_1       3  64 128 184
conv2_2       3 128 128 184
conv3_1       3 128 256  92
conv3_2       3 256 256  92
conv3_3       3 256 256  92
conv3_4       3 256 256  92
conv4_1       3 256 512  46
conv4_2       3 512 512  46
conv4_3_CPM   3 512 256  46
conv4_4_CPM   3 256 256  46
conv4_5_CPM   3 256 256  46
conv4_6_CPM   3 256 256  46
conv4_7_CPM   3 256 128  46
conv5_1_CPM   1 128 512  46
conv5_2_CPM   1 512  18  46
""" + "".join(
    f"""
Mconv1_stage{t} 7 147 128 46
Mconv2_stage{t} 7 128 128 46
Mconv3_stage{t} 7 128 128 46
Mconv4_stage{t} 7 128 128 46
Mconv5_stage{t} 7 128 128 46
Mconv6_stage{t} 1 128 128 46
Mconv7_stage{t} 1 128  18 46
"""
    for t in (2, 3, 4, 5, 6)
)


def rows(table):
    lines = [line.split() for line in table.splitlines() if line]
    return [(name, *map(int, numbers)) for name, *numbers in lines]


@pytest.mark.parametrize("kind", ["cpm", "lifting"])
@pytest.mark.parametrize(("size", "table"), [("", ORIGINAL), ("vgg/", VARIANT)])
@pytest.mark.parametrize("phase", ["train", "train_finetune", "deploy"])
def test_convolutions_are_the_papers(loaded, size, table, kind, phase):
    name = f"{size}{kind}/{phase}.prototxt"
    convolutions = []
    for layer in layers(name).values():
        if layer.type == "Convolution":
            weights, bias = loaded[name]["params"][layer.name]
            assert bias == weights[:1]
            assert weights[2] == weights[3]
            side = loaded[name]["blobs"][layer.top[0]][-1]
            convolutions.append((layer.name, weights[2], weights[1], weights[0], side))
    assert convolutions == rows(table)


@pytest.mark.parametrize("name", [str(path.relative_to(HERE)) for path in NETS])
def test_parameters_are_the_convolutions_and_one_weight_for_each_fusion(loaded, name):
    def count(shapes):
        return sum(math.prod(shape) for shape in shapes)

    params = loaded[name]["params"]
    kinds = ("norm", "scale", "Mnorm", "Mscale")
    normalised = {k: v for k, v in params.items() if k.startswith(kinds)}
    normalises = name.startswith(("lite", "small"))
    if normalises:  # mean, variance and their weight; gain and shift
        # A convolution that is normalised has no bias.
        convolved = [v for k, v in params.items() if "conv" in k and k != "conv_double"]
        hidden = [v[0][0] for v in convolved if len(v) == 1]
        norms = [v for k, v in normalised.items() if "norm" in k]
        assert norms == [[[c], [c], [1]] for c in hidden]
        assert [v for k, v in normalised.items() if "scale" in k] == [[[c], [c]] for c in hidden]
    else:
        assert not normalised
    others = {k: v for k, v in params.items() if "conv" not in k and k not in normalised}
    fusions = [k for k in layers(name) if k.startswith("fusion")]
    assert len(fusions) == (0 if "cpm/" in name else 3 if normalises else 6)
    assert sorted(others) == sorted(fusions + ["pose_data"] * ("train" in name))
    assert all(others[k] == [[1]] for k in fusions)
    convolutions = sum(count(v) for k, v in params.items() if k not in others)
    if not normalises:
        table = VARIANT if "vgg" in name else ORIGINAL
        assert convolutions == sum(k * k * i * o + o for _, k, i, o, _ in rows(table))


@pytest.mark.parametrize(("folder", "table"), [("cpm", ORIGINAL), ("vgg/cpm", VARIANT)])
def test_sizes_are_those_of_the_tables(folder, table):
    size = sizes.size(HERE / folder / "deploy.prototxt")
    assert size.parameters == sum(k * k * i * o + o for _, k, i, o, _ in rows(table))
    assert size.multiplications == sum(k * k * i * o * side**2 for _, k, i, o, side in rows(table))


def receptive_field(name, top):
    """Side in px of the input that one px of `top` sees, along the longest way to it."""
    field, jump = {"data": 1, "center_map": 1}, {"data": 1, "center_map": 1}
    for layer in read(HERE / name).layer:
        if not layer.bottom or layer.type == "Python":
            continue
        kernel, stride = 1, 1
        if layer.type == "Convolution":
            p = layer.convolution_param
            kernel, stride = p.kernel_size[0], p.stride[0] if p.stride else 1
        elif layer.type == "Pooling":
            kernel, stride = layer.pooling_param.kernel_size, layer.pooling_param.stride
        bottoms = [b for b in layer.bottom if b in field]
        for out in layer.top:
            field[out] = max(field[b] + (kernel - 1) * jump[b] for b in bottoms)
            jump[out] = max(jump[b] for b in bottoms) * stride
    return field[top]


def test_receptive_field_of_the_original():
    # Wei et al. say 160 and 400 px, with 2 x 2 pooling. The 3 x 3 of their files adds 1, 2 and 4
    # px, which makes 167 and 407.
    assert receptive_field("cpm/deploy.prototxt", "beliefs_stage1") == 160 + 7
    assert receptive_field("cpm/deploy.prototxt", "beliefs_stage2") == 400 + 7


def test_receptive_field_of_the_variant():
    # Two, two, four and seven 3 x 3 convolutions on cells of 1, 2, 4 and 8 px, and between them
    # three poolings of 2 x 2.
    stage1 = 1 + 2 * (2 * 1 + 2 * 2 + 4 * 4 + 7 * 8) + (1 + 2 + 4)
    assert receptive_field("vgg/cpm/deploy.prototxt", "beliefs_stage1") == stage1 == 164
    # Five 7 x 7 convolutions on the cells of the maps.
    assert receptive_field("vgg/cpm/deploy.prototxt", "beliefs_stage2") == 164 + 5 * 6 * 8


def test_each_convolution_has_its_relu_and_in_lite_networks_its_normalisation_but_for_the_maps():
    for folder in (folder for folder in FOLDERS if "small" not in folder):  # see test_small.py
        all_layers = list(read(HERE / folder / "train.prototxt").layer)
        for layer in all_layers:
            if layer.type != "Convolution":
                continue
            at = all_layers.index(layer) + 1
            following = [x for x in all_layers[at : at + 3] if list(x.bottom) == list(layer.top)]
            types = [x.type for x in following]
            if layer.convolution_param.num_output == 18:
                assert "ReLU" not in types and layer.convolution_param.bias_term
            elif not layer.convolution_param.bias_term and "lite" in folder:
                assert types == ["BatchNorm", "Scale", "ReLU"]
                assert following[1].scale_param.bias_term
                assert not layer.convolution_param.bias_term
            else:
                assert types[0] == "ReLU" and layer.convolution_param.bias_term


@pytest.mark.parametrize("size", ["", "vgg/", "lite/", "small/"])
@pytest.mark.parametrize("phase", ["train", "deploy"])
def test_each_stage_is_that_of_figure_1(size, phase):
    by_name = layers(f"{size}lifting/{phase}.prototxt")
    stages = sum(name.startswith("fusion") for name in by_name)
    for t in range(1, stages + 1):
        lifting, projection = by_name[f"lifting_stage{t}"], by_name[f"projection_stage{t}"]
        fusion = by_name[f"fusion_stage{t}"]
        assert list(lifting.bottom) == [f"beliefs_stage{t}", "camera"]
        assert lifting.top[0] == f"landmarks_stage{t}"
        assert list(projection.bottom) == [f"landmarks_stage{t}", f"beliefs_stage{t}"]
        assert list(fusion.bottom) == [f"beliefs_stage{t}", f"projected_stage{t}"]
        assert list(fusion.top) == [f"fused_stage{t}"]
        assert fusion.param[0].decay_mult == 0
        if t > 1:  # fused maps, image features and the centre, and never the CNN's own maps
            bottoms = list(by_name[f"concat_stage{t}"].bottom)
            maps = bottoms.pop(0 if size == "vgg/" else 1)
            assert maps == f"fused_stage{t - 1}"
            assert bottoms[0].startswith("conv") and bottoms[1:] == ["pool_center_lower"]
        if phase == "train":
            of_stage = "_stage1" if t == 1 else ""  # stage 1 is to find everybody
            known, loss = by_name[f"known_stage{t}"], by_name[f"loss_stage{t}"]
            assert list(known.bottom) == [f"fused_stage{t}", f"mask{of_stage}"]
            assert list(loss.bottom) == [f"known_stage{t}", f"label{of_stage}"]
    if phase == "deploy":
        assert list(by_name["lifting"].bottom) == [f"fused_stage{stages}", "camera"]
        assert list(by_name["lifting"].top) == ["landmarks", "pose"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_blobs_have_the_documented_shapes(loaded, folder):
    blobs = loaded[f"{folder}/deploy.prototxt"]["blobs"]
    side = blobs["data"][-1]
    assert blobs["data"] == [1, 3, side, side]
    assert blobs["center_map"] == [1, 1, side, side]
    maps = blobs["beliefs_stage1"]
    assert maps == [1, skeleton.L + 1, maps[-1], maps[-1]]
    size = {"lite": (128, 16), "small": (192, 24)}.get(folder.split("/")[0], (368, 46))
    assert (side, maps[-1]) == size
    if folder.endswith("lifting"):
        assert blobs["camera"] == [1, 3, 3]
        for suffix in ("", "_stage1", "_stage3"):
            assert blobs["landmarks" + suffix] == [1, skeleton.L, 2]
            assert blobs["pose" + suffix] == [1, skeleton.L, 3]
        assert blobs["fused_stage2"] == maps
    train = loaded[f"{folder}/train.prototxt"]["blobs"]
    batch = train["data"][0]
    for of_stage in "", "_stage1":
        assert train["label" + of_stage] == [batch, *maps[1:]]
        assert train["mask" + of_stage] == [batch, maps[1]]


@pytest.mark.parametrize("size", ["", "vgg/", "lite/", "small/"])
@pytest.mark.parametrize("suffix", ["", "_finetune"])
def test_baseline_and_papers_network_train_alike(size, suffix):
    solvers = [read(HERE / f"{size}{kind}/solver{suffix}.prototxt") for kind in ("cpm", "lifting")]
    for solver in solvers:
        assert solver.random_seed == SEED
        assert (HERE.parent / solver.net).is_file()
        solver.ClearField("net")
        solver.ClearField("snapshot_prefix")
    assert solvers[0] == solvers[1]
    train = "train" if size == "lite/" else f"train{suffix}"
    nets = [layers(f"{size}{kind}/{train}.prototxt") for kind in ("cpm", "lifting")]
    assert nets[0]["pose_data"].python_param == nets[1]["pose_data"].python_param
    convolutions = [
        {k: (v.convolution_param, v.param) for k, v in net.items() if v.type == "Convolution"}
        for net in nets
    ]
    assert convolutions[0] == convolutions[1]


def test_fine_tuning_keeps_what_fits_released_weights():
    rates = {
        name: layer.param[0].lr_mult
        for name, layer in layers("lifting/train_finetune.prototxt").items()
        if layer.type == "Convolution"
    }
    new = {name for name, rate in rates.items() if rate == 1}
    assert new == {"conv7_stage1"} | {f"Mconv{i}_stage{t}" for i in (1, 5) for t in range(2, 7)}
    assert all(rate == pytest.approx(1e-3) for name, rate in rates.items() if name not in new)


def test_other_choices():
    def net(**choices):
        chosenge = networks.network(machines.CPM, lifting=True, train=True, **choices)
        return {layer.name: layer for layer in chosenge.layer}

    chosen = net(loss="beliefs", last_fusion=False, backward="exact")
    assert "fusion_stage6" not in chosen
    assert list(chosen["known_stage5"].bottom) == ["beliefs_stage5", "mask"]
    assert list(chosen["lifting_stage1"].propagate_down) == [True, False]
    assert json.loads(chosen["lifting_stage1"].python_param.param_str)["backward"] == "exact"
    assert json.loads(chosen["projection_stage1"].python_param.param_str)["backward"] != "none"
    assert list(net()["lifting_stage1"].propagate_down) == [False, False]
    assert "per_landmark" not in net()["fusion_stage2"].python_param.param_str
    landmark = net(fusion="landmark")["fusion_stage2"]
    assert json.loads(landmark.python_param.param_str)["per_landmark"] is True
    assert net(fusion="fixed")["fusion_stage2"].param[0].lr_mult == 0
    assert net()["fusion_stage2"].param[0].lr_mult == landmark.param[0].lr_mult == 1
    probable = json.loads(net(lift="probable")["lifting_stage1"].python_param.param_str)
    assert probable["subpixel"] is True and "criterion" not in probable
    weighed = json.loads(net(lift="weighed")["lifting_stage1"].python_param.param_str)
    assert weighed == probable | {"covariance": True, "sigma": 7 / 8}
    mixed = {"a.pack": 3, "b.pack": 1}
    assert json.loads(net(data=mixed)["pose_data"].python_param.param_str)["source"] == mixed
    other = net(prior="other.npz", seed=5)
    assert json.loads(other["lifting_stage6"].python_param.param_str)["model"] == "other.npz"
    assert json.loads(other["pose_data"].python_param.param_str)["seed"] == 5
    solvers = [v for k, v in generate.files(seed=5).items() if "solver" in k]
    assert len(solvers) == 16 and all("random_seed: 5\n" in text for text in solvers)
    hand = generate.files(skeleton=HAND)["lite/lifting/deploy.prototxt"]
    assert hand.count("num_output: 22") == 3 and "num_output: 18" not in hand
    hand = generate.files(skeleton=HAND, prior="hand.npz")
    for path in "lite/cpm/train.prototxt", "cpm/train.prototxt":  # from the model, not mirrored
        assert '"model": "hand.npz"' in hand[path] and '"flip": 0' in hand[path]
    with pytest.raises(ValueError, match="last fusion learns nothing"):
        net(loss="beliefs")


def test_the_papers_constants_reach_layers_and_networks():
    """80 rotations (5.3), 17 landmarks and the background, CPM's label of 7 px of 368: typed in a
    second time, since layers and networks take them from one place each."""
    network = networks.network(machines.CPM, lifting=True, train=True)
    layers = {layer.name: layer for layer in network.layer}
    lifting_, projection, data = (
        json.loads(layers[name].python_param.param_str)
        for name in ("lifting_stage1", "projection_stage1", "pose_data")
    )
    assert lifting_["rotations"] == lifting.Params("a.npz").rotations == 80
    assert lifting.Params("a.npz").sigma == projection["sigma"] == 7 / 8
    assert data["sigma"] == 7 and machines.CPM.input == 368 and len(machines.CPM.skeleton) == 17
