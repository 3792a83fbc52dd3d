"""Networks with the layers of released ones, and weights that answer the colours of a picture.

Layer names, kernels, inputs and the channels of maps are those of the released deploy.prototxt;
hidden layers are narrower. The first convolution answers each of some colours in a channel of its
own; those channels are passed on, through kernels with a 1 in their middle, as far as the maps.
"""

import caffe
import numpy as np

GREY = 128
WIDTH = 25  # channels of hidden layers: one for each of BODY_25's landmarks


class Text:
    """A prototxt as it grows."""

    def __init__(self, name, channels, side):
        dims = " ".join(f"input_dim: {n}" for n in (1, channels, side, side))
        self.text = f'input: "{name}" {dims}\n'

    def layer(self, name, kind, bottoms, tops=None, parameters=""):
        links = "".join(f' bottom: "{b}"' for b in bottoms)
        links += "".join(f' top: "{t}"' for t in tops or [name])
        self.text += f'layer {{ name: "{name}" type: "{kind}"{links} {parameters} }}\n'
        return name

    def conv(self, name, bottom, kernel, channels=WIDTH, activation="ReLU"):
        shape = f"num_output: {channels} kernel_size: {kernel} pad: {kernel // 2}"
        self.layer(name, "Convolution", [bottom], None, f"convolution_param {{ {shape} }}")
        if activation:
            self.layer(name.replace("conv", activation.lower()), activation, [name], [name])
        return name

    def pool(self, name, bottom, kernel, stride=2, kind="MAX"):
        shape = f"pool: {kind} kernel_size: {kernel} stride: {stride}"
        return self.layer(name, "Pooling", [bottom], None, f"pooling_param {{ {shape} }}")

    def concat(self, name, *bottoms):
        return self.layer(name, "Concat", bottoms, None, "concat_param { axis: 1 }")


def _cpm_inputs(side):
    text = Text("data", 4, side)
    slices = "slice_param { slice_point: 3 axis: 1 }"
    text.layer("image", "Slice", ["data"], ["image", "center_map"], slices)
    text.pool("pool_center_lower", "center_map", 9, 8, "AVE")
    return text


def cpm(side=368):
    """Of training/genProto.py: 15 maps, Mconv5_stage6."""
    text = _cpm_inputs(side)
    for t in 1, 2:
        x = "image"
        for i in 1, 2, 3:
            x = text.conv(f"conv{i}_stage{t}", x, 9)
            x = text.pool(f"pool{i}_stage{t}", x, 3)
        x = text.conv(f"conv4_stage{t}", x, 5)
        if t == 1:
            x = text.conv("conv5_stage1", x, 9)
            x = text.conv("conv6_stage1", x, 1)
            maps = text.conv("conv7_stage1", x, 1, 15, None)
    for t in range(2, 7):
        if t > 2:
            x = text.conv(f"conv1_stage{t}", "pool3_stage2", 5)
        x = text.concat(f"concat_stage{t}", x, maps, "pool_center_lower")
        for i in 1, 2, 3, 4:
            x = text.conv(f"Mconv{i}_stage{t}", x, 11 if i < 4 else 1)
        maps = text.conv(f"Mconv5_stage{t}", x, 1, 15, None)
    return text.text, {f"Mconv1_stage{t}": 0 for t in range(2, 7)}


def _vgg(text, image, last, prelu=False):
    """The shared features; the last of them is conv4_{last}_CPM."""
    x = image
    for block, count in ((1, 2), (2, 2), (3, 4)):
        for i in range(1, count + 1):
            x = text.conv(f"conv{block}_{i}", x, 3)
        x = text.pool(f"pool{block}_stage1", x, 2)
    x = text.conv("conv4_1", x, 3)
    kind = "PReLU" if prelu else "ReLU"
    x = text.conv("conv4_2", x, 3, activation=kind)
    for i in range(3, last + 1):
        x = text.conv(f"conv4_{i}_CPM", x, 3, activation=kind)
    return x


def variant(side=368):
    """Of model/_trained_MPI/pose_deploy_resize.prototxt: 15 maps, Mconv7_stage6."""
    text = _cpm_inputs(side)
    features = _vgg(text, "image", 7)
    x = text.conv("conv5_1_CPM", features, 1)
    maps = text.conv("conv5_2_CPM", x, 1, 15, None)
    for t in range(2, 7):
        x = text.concat(f"concat_stage{t}", maps, features, "pool_center_lower")
        for i in range(1, 7):
            x = text.conv(f"Mconv{i}_stage{t}", x, 7 if i < 6 else 1)
        maps = text.conv(f"Mconv7_stage{t}", x, 1, 15, None)
    return text.text, {f"Mconv1_stage{t}": 15 for t in range(2, 7)}


def openpose(maps, fields, stages=6, side=1):
    """Of models/pose/coco and mpi: two branches, maps in L2; net_output has both."""
    text = Text("image", 3, side)
    features = _vgg(text, "image", 4)
    both = []
    for branch, channels in (("L1", fields), ("L2", maps)):
        x = features
        for i in 1, 2, 3, 4:
            x = text.conv(f"conv5_{i}_CPM_{branch}", x, 3 if i < 4 else 1)
        both.append(text.conv(f"conv5_5_CPM_{branch}", x, 1, channels, None))
    offset = {}
    for t in range(2, stages + 1):
        start = text.concat(f"concat_stage{t}", *both, features)
        both = []
        for branch, channels in (("L1", fields), ("L2", maps)):
            x = start
            for i in range(1, 7):
                x = text.conv(f"Mconv{i}_stage{t}_{branch}", x, 7 if i < 6 else 1)
            both.append(text.conv(f"Mconv7_stage{t}_{branch}", x, 1, channels, None))
            offset[f"Mconv1_stage{t}_{branch}"] = maps + fields
    text.layer("concat_stage7", "Concat", both[::-1], ["net_output"], "concat_param { axis: 1 }")
    return text.text, offset


def body_25(side=16):
    """Of models/pose/body_25: fields first, in 4 stages, then 26 maps, Mconv7_stage1_L1."""
    text = Text("image", 3, side)
    features = _vgg(text, "image", 4, prelu=True)
    fields = maps = None
    for branch, t, channels in [("L2", t, 52) for t in range(4)] + [("L1", t, 26) for t in (0, 1)]:
        x = features
        if branch == "L1" and t == 0:
            x = text.concat("concat_stage0_L1", features, fields)
        elif t > 0:
            parts = [features, fields] if branch == "L2" else [features, maps, fields]
            x = text.concat(f"concat_stage{t}_{branch}", *parts)
        for i in range(1, 6):
            triple = []
            for j in range(3):
                x = text.conv(f"Mconv{i}_stage{t}_{branch}_{j}", x, 3, activation="PReLU")
                triple.append(x)
            x = text.concat(f"Mconv{i}_stage{t}_{branch}_concat", *triple)
        x = text.conv(f"Mconv6_stage{t}_{branch}", x, 1, activation="PReLU")
        x = text.conv(f"Mconv7_stage{t}_{branch}", x, 1, channels, None)
        fields, maps = (x, maps) if branch == "L2" else (fields, x)
    text.concat("net_output", maps, fields)
    return text.text, {}


def colours(count):
    """`count` colours (count, 3) uint8 BGR, at even angles about grey."""
    i = np.arange(count) + 0.5
    z, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    width = np.sqrt(1 - z * z)
    directions = np.stack([width * np.cos(turn), width * np.sin(turn), z], axis=1)
    return np.round(GREY + 120 * directions).astype(np.uint8)


def write(folder, network, landmarks):
    """deploy.prototxt and net.caffemodel, whose map k is 1 where the image has the k-th of
    colours(landmarks), and 0 elsewhere. Returns their paths.

    network: (text, {layer: the input channel with which it goes on}), else from channel 0 on.
    """
    text, offset = network
    deploy, weights = folder / "deploy.prototxt", folder / "net.caffemodel"
    deploy.write_text(text)
    net = caffe.Net(str(deploy), caffe.TEST)
    shades = (colours(landmarks).astype(float) - GREY) / 256
    length = np.linalg.norm(shades, axis=1, keepdims=True)
    for name, blobs in net.params.items():
        for blob in blobs:
            blob.data[...] = 0
        if "conv" not in name:
            continue  # PReLU: what is negative becomes 0
        kernel = blobs[0].data
        middle = kernel.shape[2] // 2
        if kernel.shape[1] == 3:
            # 1 for the colour itself, 0 from an angle of arccos 0.85 on, and for grey.
            kernel[:landmarks, :, middle, middle] = shades / length**2 / 0.15
            blobs[1].data[:landmarks] = -0.85 / 0.15
            blobs[1].data[landmarks:] = 0
        else:
            start = offset.get(name, 0)
            for k in range(min(landmarks, kernel.shape[0])):
                kernel[k, start + k, middle, middle] = 1
    net.save(str(weights))
    return deploy, weights


def picture(cells, count, side=368, stride=8):
    """A grey picture with a dot of colours(count)[k] in the cell (x, y) = cells[k] of the maps.

    The dot is one px, which that cell alone sees, whether by pooling of 2 x 2 or of 3 x 3. A cell
    that is NaN has no dot.
    """
    image = np.full((side, side, 3), GREY, np.uint8)
    for (x, y), colour in zip(cells, colours(count), strict=True):
        if np.isfinite(x):
            image[int(y) * stride + stride - 1, int(x) * stride + stride - 1] = colour
    return image
