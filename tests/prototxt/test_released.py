"""The networks and solvers in prototxt/ against released files, whose numbers are typed in again.

- CPM: training/genProto.py in github.com/shihenw/convolutional-pose-machines-release, and Wei et
  al., "Convolutional Pose Machines", CVPR 2016;
- its later variant: model/_trained_MPI/pose_deploy_resize.prototxt there;
- the default parameters of the data layer in the Caffe of CPM's authors, and testing/config.m;
- the paper, and the fine-tuning of its authors.

Maps have 18 channels here, for 17 landmarks, where CPM's have 15, for 14.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from python_layers import belief_maps
from python_layers.data import crop
from tests.prototxt import text_format

PROTOTXT = Path("prototxt")
NETWORKS = ("cpm", "lifting", "vgg/cpm", "vgg/lifting", "lite/cpm", "lite/lifting")
FULL = NETWORKS[:4]

# Layers in their order, with the released names of blobs: a convolution's kernel, stride, pad,
# outputs, and the learning rates of its weights and its bias; a pooling's kernel and stride; what a
# concatenation is of. An asterisk: followed by dropout in training.
CPM = """
pool_center_lower AVE center_map 9 8
conv1_stage1 image         9 1 4 128 5 10
pool1_stage1 MAX conv1_stage1 3 2
conv2_stage1 pool1_stage1  9 1 4 128 5 10
pool2_stage1 MAX conv2_stage1 3 2
conv3_stage1 pool2_stage1  9 1 4 128 5 10
pool3_stage1 MAX conv3_stage1 3 2
conv4_stage1 pool3_stage1  5 1 2  32 5 10
conv5_stage1* conv4_stage1 9 1 4 512 5 10
conv6_stage1* conv5_stage1 1 1 0 512 5 10
conv7_stage1 conv6_stage1  1 1 0  18 5 10
conv1_stage2 image         9 1 4 128 1 2
pool1_stage2 MAX conv1_stage2 3 2
conv2_stage2 pool1_stage2  9 1 4 128 1 2
pool2_stage2 MAX conv2_stage2 3 2
conv3_stage2 pool2_stage2  9 1 4 128 1 2
pool3_stage2 MAX conv3_stage2 3 2
conv4_stage2 pool3_stage2  5 1 2  32 1 2
concat_stage2 of conv4_stage2 conv7_stage1 pool_center_lower
Mconv1_stage2 concat_stage2 11 1 5 128 1 2
Mconv2_stage2 Mconv1_stage2 11 1 5 128 1 2
Mconv3_stage2 Mconv2_stage2 11 1 5 128 1 2
Mconv4_stage2 Mconv3_stage2  1 1 0 128 1 2
Mconv5_stage2 Mconv4_stage2  1 1 0  18 1 2
""" + "".join(
    f"""
conv1_stage{t} pool3_stage2  5 1 2  32 1 2
concat_stage{t} of conv1_stage{t} Mconv5_stage{t - 1} pool_center_lower
Mconv1_stage{t} concat_stage{t} 11 1 5 128 1 2
Mconv2_stage{t} Mconv1_stage{t} 11 1 5 128 1 2
Mconv3_stage{t} Mconv2_stage{t} 11 1 5 128 1 2
Mconv4_stage{t} Mconv3_stage{t}  1 1 0 128 1 2
Mconv5_stage{t} Mconv4_stage{t}  1 1 0  18 1 2
"""
    for t in (3, 4, 5, 6)
)

VARIANT = """
pool_center_lower AVE center_map 9 8
conv1_1 image        3 1 1  64 1 2
conv1_2 conv1_1      3 1 1  64 1 2
pool1_stage1 MAX conv1_2 2 2
conv2_1 pool1_stage1 3 1 1 128 1 2
conv2_2 conv2_1      3 1 1 128 1 2
pool2_stage1 MAX conv2_2 2 2
conv3_1 pool2_stage1 3 1 1 256 1 2
conv3_2 conv3_1      3 1 1 256 1 2
conv3_3 conv3_2      3 1 1 256 1 2
conv3_4 conv3_3      3 1 1 256 1 2
pool3_stage1 MAX conv3_4 2 2
conv4_1 pool3_stage1 3 1 1 512 1 2
conv4_2 conv4_1      3 1 1 512 1 2
conv4_3_CPM conv4_2     3 1 1 256 1 2
conv4_4_CPM conv4_3_CPM 3 1 1 256 1 2
conv4_5_CPM conv4_4_CPM 3 1 1 256 1 2
conv4_6_CPM conv4_5_CPM 3 1 1 256 1 2
conv4_7_CPM conv4_6_CPM 3 1 1 128 1 2
conv5_1_CPM conv4_7_CPM 1 1 0 512 1 2
conv5_2_CPM conv5_1_CPM 1 1 0  18 1 2
""" + "".join(
    f"""
concat_stage{t} of {previous} conv4_7_CPM pool_center_lower
Mconv1_stage{t} concat_stage{t} 7 1 3 128 4 8
Mconv2_stage{t} Mconv1_stage{t} 7 1 3 128 4 8
Mconv3_stage{t} Mconv2_stage{t} 7 1 3 128 4 8
Mconv4_stage{t} Mconv3_stage{t} 7 1 3 128 4 8
Mconv5_stage{t} Mconv4_stage{t} 7 1 3 128 4 8
Mconv6_stage{t} Mconv5_stage{t} 1 1 0 128 4 8
Mconv7_stage{t} Mconv6_stage{t} 1 1 0  18 4 8
"""
    for t, previous in enumerate(["conv5_2_CPM"] + [f"Mconv7_stage{t}" for t in range(2, 6)], 2)
)

# Our own small network. Its hidden convolutions have no bias, but a shift after normalisation.
LITE = """
pool_center_lower AVE center_map 9 8
conv1 image 5 2 2 24 1
conv2 conv1 3 2 1 48 1
conv3 conv2 3 1 1 48 1
conv4 conv3 3 2 1 96 1
conv5 conv4 3 1 1 96 1
conv6 conv5 3 1 1 96 1
conv7_stage1 conv6 3:2 1 2 96 1
conv8_stage1 conv7_stage1 1 1 0 96 1
conv9_stage1 conv8_stage1 1 1 0 18 1 2
""" + "".join(
    f"""
concat_stage{t} of conv6 {previous} pool_center_lower
Mconv1_stage{t} concat_stage{t} 3:2 1 2 96 1
Mconv2_stage{t} Mconv1_stage{t} 3:2 1 2 96 1
Mconv3_stage{t} Mconv2_stage{t} 1 1 0 96 1
Mconv4_stage{t} Mconv3_stage{t} 1 1 0 18 1 2
"""
    for t, previous in ((2, "conv9_stage1"), (3, "Mconv4_stage2"))
)


def lines(table):
    return [" ".join(line.split()) for line in table.splitlines() if line]


def table_of(network):
    return VARIANT if "vgg" in network else LITE if "lite" in network else CPM


def layers(name):
    return text_format.read(PROTOTXT / f"{name}.prototxt")["layer"]


def of_type(name, kind):
    return [layer for layer in layers(name) if layer["type"] == [kind]]


def parameters(layer):
    """The parameters of a Python layer."""
    return json.loads(layer["python_param"][0]["param_str"][0])


def released_blobs(name):
    """{a blob of ours: its released name}: belief maps have that of their convolution there, and
    fused maps, which only we have, stand in the place of the belief maps."""
    released = {"data": "image"}
    for layer in of_type(name, "Convolution"):
        top = layer["top"][0]
        if top.startswith("beliefs"):
            released[top] = released[top.replace("beliefs", "fused")] = layer["name"][0]
    return released


def described(name):
    """The convolutions, poolings and concatenations of a network in the form of the tables."""
    released = released_blobs(name)
    dropped = {layer["bottom"][0] for layer in of_type(name, "Dropout")}
    rows = []
    for layer in layers(name):
        own = layer["name"][0]
        bottoms = [released.get(b, b) for b in layer.get("bottom", ())]
        if layer["type"] == ["Concat"]:
            rows.append([own, "of", *bottoms])
        elif layer["type"] == ["Pooling"]:
            p = layer["pooling_param"][0]
            assert not p.keys() - {"pool", "kernel_size", "stride"}
            rows.append([own, *p["pool"], *bottoms, *p["kernel_size"], *p["stride"]])
        elif layer["type"] == ["Convolution"]:
            p = layer["convolution_param"][0]
            kernel = f"{p['kernel_size'][0]:g}"
            if "dilation" in p:
                kernel += f":{p['dilation'][0]:g}"
            numbers = [p.get("stride", [1])[0], p.get("pad", [0])[0], p["num_output"][0]]
            rates = [rate["lr_mult"][0] for rate in layer["param"]]
            mark = "*" if layer["top"][0] in dropped else ""
            rows.append([own + mark, *bottoms, kernel, *numbers, *rates])
    return [" ".join(v if isinstance(v, str) else f"{v:g}" for v in row) for row in rows]


@pytest.mark.parametrize("phase", ["train", "deploy"])
@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_the_released_ones(network, phase):
    assert described(f"{network}/{phase}") == lines(table_of(network))


@pytest.mark.parametrize("network", FULL)
def test_fine_tuning_has_the_same_layers_at_the_rates_of_the_papers_authors(network):
    """What they replaced learns at the base rate, what they kept at a thousandth of it."""
    head = "conv5_2_CPM" if "vgg" in network else "conv7_stage1"
    last = "Mconv7" if "vgg" in network else "Mconv5"

    def tuned(line):
        words = line.split()
        if words[1] == "of" or words[1] in ("AVE", "MAX"):
            return line
        replaced = words[0] == head or words[0].startswith(("Mconv1_", last))
        return " ".join([*words[:-2], *(("1", "2") if replaced else ("0.001", "0.002"))])

    expected = [tuned(line) for line in lines(table_of(network))]
    assert described(f"{network}/train_finetune") == expected


@pytest.mark.parametrize("phase", ["train", "train_finetune", "deploy"])
@pytest.mark.parametrize("network", FULL)
def test_fillers_decay_activations_and_dropout(network, phase):
    all_layers = layers(f"{network}/{phase}")
    hidden = []
    for layer in all_layers:
        if layer["type"] == ["Convolution"]:
            p = layer["convolution_param"][0]
            assert p["weight_filler"] == [{"type": ["gaussian"], "std": [0.01]}]
            assert p["bias_filler"] == [{"type": ["constant"]}]  # 0
            assert [rate["decay_mult"] for rate in layer["param"]] == [[1], [0]]
            if p["num_output"] != [18]:
                hidden.append(layer["name"][0])
    activations = [layer for layer in all_layers if layer["type"] == ["ReLU"]]
    assert [layer["bottom"] for layer in activations] == [[name] for name in hidden]
    # conv1_1 -> relu1_1, Mconv1_stage2 -> Mrelu1_stage2
    names = [layer["name"][0] for layer in activations]
    assert names == [name.replace("conv", "relu") for name in hidden]
    for layer in all_layers:
        if layer["type"] == ["Dropout"]:
            assert layer["dropout_param"] == [{"dropout_ratio": [0.5]}]


@pytest.mark.parametrize("kind", ["cpm", "lifting"])
def test_normalisation_and_fillers_of_the_lite_networks(kind):
    for phase in "train", "deploy":
        for layer in of_type(f"lite/{kind}/{phase}", "BatchNorm"):
            assert layer["batch_norm_param"] == [{"moving_average_fraction": [0.99]}]
        for layer in of_type(f"lite/{kind}/{phase}", "Convolution"):
            p = layer["convolution_param"][0]
            maps = p["num_output"] == [18]
            filler = {"type": ["gaussian"], "std": [0.01]} if maps else {"type": ["msra"]}
            assert p["weight_filler"] == [filler]
            assert p.get("bias_term", ["true"]) == ["true" if maps else "false"]


@pytest.mark.parametrize("network", FULL)
def test_training_data_are_cpms(network):
    for phase, batch in (("train", 16), ("train_finetune", 8)):
        (layer,) = of_type(f"{network}/{phase}", "Python")[:1]
        values = parameters(layer)
        assert layer["python_param"][0]["layer"] == ["PoseDataLayer"]
        assert (values["batch_size"], values["input_size"], values["stride"]) == (batch, 368, 8)
        assert values["sigma"] == 7 and values["augment"] is True and values["shuffle"] is True


@pytest.mark.parametrize("kind", ["cpm", "lifting"])
def test_training_data_of_the_lite_networks(kind):
    values = parameters(of_type(f"lite/{kind}/train", "Python")[0])
    assert (values["batch_size"], values["input_size"], values["stride"]) == (8, 128, 8)
    assert values["sigma"] == 10
    assert values["augment"] == {"scale": [0.9, 1.1], "degrees": 15, "shift": 0.03}


def test_the_inputs_are_cpms():
    # genProto.py: scale_min, scale_max, max_rotate_degree, center_perterb_max, target_dist.
    ranges = crop.ranges(True)
    assert (ranges.scale, ranges.degrees, ranges.shift) == ((0.7, 1.3), 40, 0)
    assert crop.CPM_FRACTION * 368 / 200 == pytest.approx(1.171, abs=5e-4)
    # Defaults of the data layer: sigma, sigma_center; 4.6052 ends the Gaussians.
    assert belief_maps.LABEL_SIGMA == 7
    assert crop.CENTRE_SIGMA * 368 == pytest.approx(21)
    assert belief_maps.CUT == 4.6052
    # testing/config.m and applyModel.m: padValue, and x / 256 - 0.5.
    assert crop.GREY == 128
    grey = np.full((2, 2, 3), 64, np.uint8)
    np.testing.assert_array_equal(crop.input_blob(grey), np.full((3, 2, 2), -0.25))


@pytest.mark.parametrize("network", NETWORKS)
def test_inputs_of_the_deployed_network(network):
    side = 128 if "lite" in network else 368
    inputs = {
        layer["top"][0]: layer["input_param"][0]["shape"][0]["dim"]
        for layer in of_type(f"{network}/deploy", "Input")
    }
    camera = {"camera": [1, 3, 3]} if "lifting" in network else {}
    assert inputs == {"data": [1, 3, side, side], "center_map": [1, 1, side, side]} | camera


@pytest.mark.parametrize("phase", ["train", "deploy"])
@pytest.mark.parametrize("network", ["lifting", "vgg/lifting", "lite/lifting"])
def test_the_layers_of_the_paper(network, phase):
    """80 rotations (5.3), the label's Gaussian (5.4), a weight that starts in the middle (5.5)."""
    lite = "lite" in network
    stages = 3 if lite else 6
    python_layers = of_type(f"{network}/{phase}", "Python")
    kinds = [layer["python_param"][0]["layer"][0] for layer in python_layers]
    expected = ["LiftingLayer", "ProjectionLayer", "FusionLayer"] * stages
    assert kinds == (
        [*expected, "LiftingLayer"] if phase == "deploy" else ["PoseDataLayer", *expected]
    )
    for kind, layer in zip(kinds, python_layers, strict=True):
        if kind == "LiftingLayer":
            # At 368 px as published: the most confident cells, the rotation of least cost.
            published = {"noise_mm": 0, "criterion": "cost", "subpixel": False}
            lifting = {"subpixel": True} if lite else published
            common = {"model": "build/prior.npz", "rotations": 80, "backward": "none"}
            assert parameters(layer) == common | lifting
        elif kind == "ProjectionLayer":
            assert parameters(layer) == {"sigma": 10 / 8 if lite else 7 / 8, "backward": "none"}
        elif kind == "FusionLayer":
            assert parameters(layer) == {"initial": 0.5}
            rate = layer["param"][0]
            assert (rate["lr_mult"], rate["decay_mult"]) == ([10 if lite else 1], [0])


COMMON = {"momentum": 0.9, "random_seed": 2017, "solver_mode": "CPU", "average_loss": 20}
SGD = COMMON | {
    "lr_policy": "step",
    "gamma": 0.333,
    "weight_decay": 5e-4,
    "display": 20,
    "snapshot": 5000,
}
# training/genProto.py.
FROM_SCRATCH = SGD | {"base_lr": 8e-5, "stepsize": 136106, "max_iter": 600000}
# The fine-tuning of the paper's authors; what they do not state is CPM's.
FINE_TUNING = SGD | {"base_lr": 5e-4, "stepsize": 50000, "max_iter": 173000}
# Ours: Adam with a rate that falls linearly to 0.
ADAM = COMMON | {
    "type": "Adam",
    "momentum2": 0.999,
    "lr_policy": "poly",
    "power": 1,
    "display": 20,
}
LITE_SCRATCH = ADAM | {"base_lr": 3e-3, "max_iter": 4200, "snapshot": 1000}
LITE_FINE_TUNING = ADAM | {"base_lr": 5e-4, "max_iter": 800, "snapshot": 200}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("suffix", ["", "_finetune"])
def test_solvers(network, suffix):
    lite = "lite" in network
    solver = text_format.read(PROTOTXT / f"{network}/solver{suffix}.prototxt")
    solver = {field: value for field, (value,) in solver.items()}
    net = "train" if lite else f"train{suffix}"
    assert solver.pop("net") == f"prototxt/{network}/{net}.prototxt"
    run = network.replace("/", "-") + suffix
    assert solver.pop("snapshot_prefix") == f"build/snapshots/{run}"
    schedules = (LITE_SCRATCH, LITE_FINE_TUNING) if lite else (FROM_SCRATCH, FINE_TUNING)
    assert solver == schedules[suffix != ""]
