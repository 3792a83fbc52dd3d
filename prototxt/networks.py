"""Figure 1 of the paper as Caffe's NetSpec: a network of any Machine, with any Choices.

Read `network` first: a stage is predict, lift, project, fuse, and in training judge. README.md
names the blobs and the layers; machines.py has the convolutions. Needs pycaffe on PYTHONPATH.
"""

# ruff: noqa: C408 (dict(lr_mult=1) reads like the prototxt that it becomes)

import json
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from caffe import NetSpec
from caffe import layers as L
from caffe import params as P
from google.protobuf import text_format

from prior.errors import InputError
from prior.lifting.lifter import ROTATIONS
from prior.skeleton import HUMAN36M
from prototxt.choices import Choices
from prototxt.machines import GAUSSIAN, LIFTINGS, MAPS, Block, Conv, Machine, Merge, Pool
from prototxt.named import name_of

Top: TypeAlias = Any  # a blob of a NetSpec

DROP = 0.5  # CPM's training/genProto.py
# A deployed network normalises with running means and variances. This is what each batch leaves of
# them, so that they are of the last hundred batches or so: our choice.
AVERAGED = 0.99


def network(m: Machine, *, lifting: bool, train: bool, **choices: Any) -> Any:
    """Figure 1: the stages one after another, as a NetParameter.

    lifting: the paper's network; False gives the pose machine alone. train: with data and losses;
    False gives the deploy network, for one image at a time. choices: of Choices.
    Raises InputError where a fusion could not learn.
    """
    c = Choices(**choices)
    if lifting and c.last_fusion and c.loss == "beliefs":
        raise InputError("the last fusion learns nothing from a loss on beliefs: leave it out")
    n = NetSpec()
    inputs(n, m, lifting, train, c)
    n.pool_center_lower = L.Pooling(
        n.center_map, pool=P.Pooling.AVE, kernel_size=m.stride + 1, stride=m.stride
    )
    maps = None
    for t in range(1, m.stages + 1):
        beliefs = maps = n[f"beliefs_stage{t}"] = predict(n, m, t, maps)
        if lifting and (t < m.stages or c.last_fusion):
            landmarks = lift(n, m, beliefs, f"_stage{t}", train, c)
            projected = n[f"projected_stage{t}"] = project(m, t, landmarks, beliefs, c.backward)
            maps = n[f"fused_stage{t}"] = fuse(m, t, beliefs, projected, c.fusion)
        if train:
            judge(n, t, maps if c.loss == "fused" else beliefs)
    if lifting and not train:
        lift(n, m, maps, "", train, c)  # the final estimate: landmarks and pose
    whole = n.to_proto()
    if m.skeleton != HUMAN36M:
        whole.name = name_of(m.skeleton)
    return whole


def inputs(n: NetSpec, m: Machine, lifting: bool, train: bool, c: Choices) -> None:
    """data (N, 3, S, S), center_map (N, 1, S, S) and camera (N, 3, 3); in training label
    (N, L + 1, S / stride, S / stride) and mask (N, L + 1).

    As CPM's, the labels of stage 1 are of everyone in sight, the others of the person in the
    centre. There is no camera where nothing has a vertical: every rotation is lifted.
    """
    camera = lifting and m.skeleton.vertical
    if not train:
        n.data = L.Input(shape=dict(dim=[1, 3, m.input, m.input]))
        n.center_map = L.Input(shape=dict(dim=[1, 1, m.input, m.input]))
        if camera:
            n.camera = L.Input(shape=dict(dim=[1, 3, 3]))
        return
    names = ["data", "center_map", "label", "mask", "label_stage1", "mask_stage1", "camera"]
    names = names if camera else names[:-1]
    augment = m.augment
    if not m.skeleton.mirrors:
        augment = ({} if augment is True else augment) | dict(flip=0)
    tops = python(
        "pose_data",
        "PoseDataLayer",
        dict(
            source=c.data or m.data,
            **({} if m.skeleton == HUMAN36M else dict(model=c.prior or m.prior)),
            batch_size=m.batch,
            input_size=m.input,
            stride=m.stride,
            sigma=m.label_sigma,
            augment=augment,
            shuffle=True,
            seed=c.seed,
            workers=1,
        ),
        # Not "data": the deploy network has a layer of that name, without a blob.
        name="pose_data",
        ntop=len(names),
        param=dict(lr_mult=0, decay_mult=0),  # its position in the data, which is not learned
    )
    for name, top in zip(names, tops, strict=True):
        n[name] = top


def predict(n: NetSpec, m: Machine, t: int, maps: Top | None) -> Top:
    """The CNN's belief maps b_t (N, L + 1, H, W), from image and maps of stage t - 1."""
    own = min(t, m.trunks)
    if t == own:
        chain(n, m, t, n.data, m.trunk)
    features = n[m.trunk[-1].name.format(t=own)]
    if m.view:  # CPM numbers a stage's convolutions: after the trunk's three this is the fourth
        view = Conv("conv4_stage{t}" if t == own else "conv1_stage{t}", 5, m.view)
        features = chain(n, m, t, features, [view])
    if t > 1:
        parts = (maps, features) if m.maps_first else (features, maps)
        features = n[f"concat_stage{t}"] = L.Concat(*parts, n.pool_center_lower)
    *hidden, last = m.head if t == 1 else m.refine
    return convolve(m, t, chain(n, m, t, features, hidden), last)


def judge(n: NetSpec, t: int, maps: Top) -> None:
    """Equation 8, without the maps of landmarks that are not annotated."""
    suffix = "_stage1" if t == 1 else ""
    known = n[f"known_stage{t}"] = L.Scale(maps, n[f"mask{suffix}"], axis=0)  # times 0 or 1
    n[f"loss_stage{t}"] = L.EuclideanLoss(known, n[f"label{suffix}"])


def lift(n: NetSpec, m: Machine, maps: Top, suffix: str, train: bool, c: Choices) -> Top:
    """Equation 4: maps to landmarks (N, L, 2), map px, and in a deploy network pose (N, L, 3),
    mm. Returns the landmarks."""
    parameters = dict(model=c.prior or m.prior, rotations=ROTATIONS)
    parameters |= LIFTINGS[c.lift or m.lift] | dict(backward=c.backward)
    if c.backward != "none" or parameters.get("covariance"):
        parameters["sigma"] = m.label_sigma / m.stride
    bottoms = (maps, n.camera) if m.skeleton.vertical else (maps,)
    tops = python(
        "lifting",
        "LiftingLayer",
        parameters,
        *bottoms,
        name=f"lifting{suffix}",
        ntop=1 if train else 2,  # Caffe would print an unused pose at every display
        propagate_down=[c.backward != "none", False][: len(bottoms)],
    )
    tops = (tops,) if train else tops
    for name, top in zip(("landmarks", "pose"), tops, strict=False):
        n[name + suffix] = top
    return tops[0]


def project(m: Machine, t: int, landmarks: Top, maps: Top, backward: str) -> Top:
    """Equations 5 and 6: a Gaussian of the label's width at each landmark, and the background."""
    gradient = "none" if backward == "none" else "central-difference"
    parameters = dict(sigma=m.label_sigma / m.stride, backward=gradient)
    return python(
        "projection",
        "ProjectionLayer",
        parameters,
        landmarks,
        maps,
        name=f"projection_stage{t}",
    )


def fuse(m: Machine, t: int, beliefs: Top, projected: Top, fusion: str) -> Top:
    """Equation 7: f_t = w_t b_t + (1 - w_t) bhat_t. w_t is learned, from one half on."""
    parameters = dict(initial=0.5)
    if fusion == "landmark":
        parameters["per_landmark"] = True
    return python(
        "fusion",
        "FusionLayer",
        parameters,
        beliefs,
        projected,
        name=f"fusion_stage{t}",
        param=dict(
            name=f"fusion_weight_stage{t}",
            lr_mult=0 if fusion == "fixed" else m.fusion_rate,
            decay_mult=0,  # our choice: decay would pull w_t to 0
        ),
    )


def python(module: str, layer: str, parameters: dict, *bottoms: Top, **keywords: Any) -> Any:
    """A layer of python_layers/, with its parameters as JSON. Returns its top, or its tops."""
    where = dict(module=f"python_layers.{module}", layer=layer, param_str=json.dumps(parameters))
    return L.Python(*bottoms, python_param=where, **keywords)


def chain(
    n: NetSpec, m: Machine, t: int, top: Top, rows: Iterable[Conv | Pool | Block | Merge]
) -> Top:
    """Poolings, blocks, merges, and convolutions with their normalisation, ReLU and dropout."""
    for row in rows:
        name = row.name.format(t=t)
        if isinstance(row, Block):
            top = inverted_residual(n, m, top, row)
            continue
        if isinstance(row, Merge):
            top = merge(n, m, top, row)
            continue
        if isinstance(row, Pool):
            top = n[name] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=row.kernel, stride=2)
            continue
        top = n[name] = convolve(m, t, top, row)
        if _normalised(m, row):
            top = n[name.replace("conv", "norm")] = L.BatchNorm(
                top, in_place=True, moving_average_fraction=AVERAGED
            )
            top = n[name.replace("conv", "scale")] = L.Scale(top, in_place=True, bias_term=True)
        if row.relu:
            top = n[name.replace("conv", "relu")] = L.ReLU(top, in_place=True)
            top = clip(n, top, name) if row.clip else top
        if row.drop:
            top = n[name.replace("conv", "drop")] = L.Dropout(
                top, dropout_ratio=DROP, in_place=True
            )
    return top


def _normalised(m: Machine, row: Conv) -> bool:
    return m.normalise and row.channels != MAPS and row.released_rate is None


def inverted_residual(n: NetSpec, m: Machine, bottom: Top, row: Block) -> Top:
    """A Block."""
    same = dict(clip=row.clip, released_rate=row.released_rate)
    parts = [
        Conv(f"{row.name}_expand", 1, row.hidden, **same),
        Conv(f"{row.name}_depth", row.kernel, row.hidden, row.stride, group=row.hidden, **same),
        Conv(f"{row.name}_project", 1, row.channels, relu=False, **same),
    ]
    top = chain(n, m, 1, bottom, parts[row.hidden == row.incoming :])
    if row.stride == 1 and row.incoming == row.channels:
        top = n[f"{row.name}_sum"] = L.Eltwise(top, bottom)
    return top


def clip(n: NetSpec, top: Top, name: str) -> Top:
    """min(x, 6) = x - max(x - 6, 0), of layers that every Caffe has."""
    above = n[name.replace("conv", "above")] = L.Power(top, shift=-6)
    above = n[name.replace("conv", "excess")] = L.ReLU(above, in_place=True)
    clipped = n[name.replace("conv", "clip")] = L.Eltwise(top, above, coeff=[1, -1])
    return clipped


def merge(n: NetSpec, m: Machine, bottom: Top, row: Merge) -> Top:
    """A Merge: the larger of the two blobs comes from an earlier block."""
    plain = dict(relu=False)
    deep = chain(n, m, 1, bottom, [Conv("conv_deep", 1, row.channels, **plain)])
    fine = chain(n, m, 1, n[row.earlier], [Conv("conv_fine", 1, row.channels, **plain)])
    # Bilinear, of each channel by itself, and not learned.
    doubled = n.conv_double = L.Deconvolution(
        deep,
        convolution_param=dict(
            num_output=row.channels,
            group=row.channels,
            kernel_size=4,
            stride=2,
            pad=1,
            bias_term=False,
            weight_filler=dict(type="bilinear"),
        ),
        param=dict(lr_mult=0, decay_mult=0),
    )
    top = n[row.name] = L.Eltwise(doubled, fine)
    return top


def convolve(m: Machine, t: int, bottom: Top, row: Conv) -> Top:
    """One convolution. As CPM's, biases learn twice as fast and do not decay."""
    rate = m.first_rate if t == 1 else m.later_rate
    if row.released_rate is not None:
        rate = row.released_rate
    if m.kept_rate is not None:
        # The paper replaces the layers that read or write maps, since its landmarks are not CPM's
        # (5.2).
        replaced = row.channels == MAPS or row.name.startswith("Mconv1_")
        rate = 1 if replaced else m.kept_rate
    more = {} if row.dilation == 1 else dict(dilation=row.dilation)
    if row.group > 1:
        more["group"] = row.group
    param = [dict(lr_mult=rate, decay_mult=1)]
    if _normalised(m, row):
        more["bias_term"] = False  # normalisation would remove it; the Scale layer has one
    else:
        more["bias_filler"] = dict(type="constant")
        param.append(dict(lr_mult=2 * rate, decay_mult=0))
    return L.Convolution(
        bottom,
        name=row.name.format(t=t),
        num_output=len(m.skeleton) + 1 if row.channels == MAPS else row.channels,
        kernel_size=row.kernel,
        pad=row.dilation * (row.kernel // 2),
        stride=row.stride,
        weight_filler=GAUSSIAN if row.channels == MAPS else m.filler,
        param=param,
        **more,
    )


def text(message: Any) -> str:
    """A NetParameter as text, with its JSON in single quotes, which keeps it readable."""

    def unescape(match: re.Match) -> str:
        return f"{match[1]}: '" + match[2].replace('\\"', '"') + "'"

    # The name that begins a line is the network's.
    return re.sub(
        r'(?m)(param_str|^name): "((?:[^"\\]|\\.)*)"',
        unescape,
        text_format.MessageToString(message),
    )
