"""Write every network and solver: figure 1 of the paper, as Caffe's NetSpec.

    python prototxt/generate.py            write the files beside this one
    python prototxt/generate.py --check    compare only: exit 1 if a file differs

With --loss, --backward or --no-last-fusion, and --out FOLDER, it writes other choices than the
paper's. Needs pycaffe on PYTHONPATH. Paths inside the files are relative to the repository's
root. README.md names the folders, the blobs and the layers.
"""

# ruff: noqa: C408 (dict(lr_mult=1) reads like the prototxt that it becomes)

import argparse
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from caffe import NetSpec
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2
from google.protobuf import text_format

HERE = Path(__file__).resolve().parent
LANDMARKS = 17  # Human3.6M's, as in prior/skeleton.py
MAPS = LANDMARKS + 1  # a belief map for each landmark; the background is the last
ROTATIONS = 80  # about the vertical, tried by each lifting (section 5.3)
DROP = 0.5  # CPM
SEED = 2017  # our choice; one for all, so that baseline and paper's network see the same images
TRAINING_DATA = "build/data/train.json"
PRIOR = "build/prior.npz"


class Conv(NamedTuple):
    """A convolution that keeps the size (unless it has a stride), then a ReLU."""

    name: str  # {t} stands for the stage
    kernel: int
    channels: int
    stride: int = 1
    dilation: int = 1  # 3 x 3 of dilation 2 sees 5 x 5 at a third of its cost
    drop: bool = False  # dropout after it


class Pool(NamedTuple):
    """Halves the size: the maximum of 3 x 3 (CPM's files; the paper's figure counts 2 x 2)."""

    name: str


class Machine(NamedTuple):
    """A convolutional pose machine's shape. The last rows of head and refine give the maps."""

    input: int  # px, side of the square input
    stride: int  # px of the input in one px of the belief maps
    stages: int
    batch: int
    trunk: tuple  # from the image to features of the maps' size
    trunks: int  # how many stages have a trunk of their own; the later ones share the last
    view: int  # channels of each stage's own 5 x 5 view of its trunk; 0: the trunk as it is
    head: tuple  # stage 1, after the features
    refine: tuple  # stages >= 2, after features, previous maps and centre are concatenated
    first_rate: float  # learning rate of stage 1, in units of the later stages'
    kept_rate: float | None  # fine-tuning: that of the layers kept from CPM, of the new ones'
    filler: dict
    label_sigma: float  # px of the input: the Gaussian of the target maps
    subpixel: bool  # False: a landmark is the most confident pixel (section 5.2)


GAUSSIAN = dict(type="gaussian", std=0.01)  # CPM

# Wei et al., "Convolutional Pose Machines", CVPR 2016: what the paper says it extends (5.1).
CPM = Machine(
    input=368,
    stride=8,
    stages=6,
    batch=16,
    trunk=(
        *(Conv("conv1_stage{t}", 9, 128), Pool("pool1_stage{t}")),
        *(Conv("conv2_stage{t}", 9, 128), Pool("pool2_stage{t}")),
        *(Conv("conv3_stage{t}", 9, 128), Pool("pool3_stage{t}")),
    ),
    trunks=2,
    view=32,
    head=(
        Conv("conv5_stage{t}", 9, 512, drop=True),
        Conv("conv6_stage{t}", 1, 512, drop=True),
        Conv("conv7_stage{t}", 1, MAPS),
    ),
    refine=(
        *(Conv(f"Mconv{i}_stage{{t}}", 11, 128) for i in (1, 2, 3)),
        Conv("Mconv4_stage{t}", 1, 128),
        Conv("Mconv5_stage{t}", 1, MAPS),
    ),
    first_rate=5,
    kept_rate=None,
    filler=GAUSSIAN,
    label_sigma=7,
    subpixel=False,
)

# The variant that its authors released later: VGG-19's first ten convolutions, shared.
VGG = CPM._replace(
    trunk=(
        *(Conv("conv1_1", 3, 64), Conv("conv1_2", 3, 64), Pool("pool1_stage1")),
        *(Conv("conv2_1", 3, 128), Conv("conv2_2", 3, 128), Pool("pool2_stage1")),
        *(Conv(f"conv3_{i}", 3, 256) for i in (1, 2, 3, 4)),
        Pool("pool3_stage1"),
        *(Conv("conv4_1", 3, 512), Conv("conv4_2", 3, 512)),
        *(Conv(f"conv4_{i}_CPM", 3, 256) for i in (3, 4, 5, 6)),
        Conv("conv4_7_CPM", 3, 128),
    ),
    trunks=1,
    view=0,
    head=(Conv("conv5_1_CPM", 1, 512), Conv("conv5_2_CPM", 1, MAPS)),
    refine=(
        *(Conv(f"Mconv{i}_stage{{t}}", 7, 128) for i in (1, 2, 3, 4, 5)),
        Conv("Mconv6_stage{t}", 1, 128),
        Conv("Mconv7_stage{t}", 1, MAPS),
    ),
)

# Our choice: the variant's plan, at a size that two CPU cores train in minutes.
LITE = VGG._replace(
    input=128,
    stages=3,
    batch=8,
    trunk=(
        Conv("conv1", 5, 24, stride=2),
        Conv("conv2", 3, 48, stride=2),
        Conv("conv3", 3, 48),
        Conv("conv4", 3, 96, stride=2),
        *(Conv("conv5", 3, 96), Conv("conv6", 3, 96)),
    ),
    head=(
        Conv("conv7_stage{t}", 3, 96, dilation=2),
        Conv("conv8_stage{t}", 1, 96),
        Conv("conv9_stage{t}", 1, MAPS),
    ),
    refine=(
        *(Conv(f"Mconv{i}_stage{{t}}", 3, 96, dilation=2) for i in (1, 2)),
        Conv("Mconv3_stage{t}", 1, 96),
        Conv("Mconv4_stage{t}", 1, MAPS),
    ),
    first_rate=1,  # Adam scales each weight's step by itself
    filler=dict(type="msra"),  # keeps the signal's size, where .01 needs CPM's 100,000s of steps
    label_sigma=10,  # 1.25 cells of the maps: less leaves too little of them to learn from
    subpixel=True,
)


def network(
    m, *, lifting, train, loss="fused", last_fusion=True, backward="none", data=TRAINING_DATA
):
    """Figure 1: the stages one after another, as a NetParameter.

    m: a Machine. lifting: the paper's network; False gives the pose machine alone.
    train: with data and losses; False gives the deploy network, one image at a time.
    loss: on the "fused" maps (equation 8), or on "beliefs", the maps before the fusion.
    last_fusion: False leaves lifting and fusion out of the last stage.
    backward: through the lifting "none", "scale-held" or "exact" (supplement).
    data: file of annotations to train on, or {file: share of the samples}.
    """
    if lifting and last_fusion and loss == "beliefs":
        raise ValueError("the last fusion learns nothing from a loss on beliefs: leave it out")
    n = NetSpec()
    inputs(n, m, lifting, train, data)
    n.pool_center_lower = L.Pooling(
        n.center_map, pool=P.Pooling.AVE, kernel_size=m.stride + 1, stride=m.stride
    )
    maps = None
    for t in range(1, m.stages + 1):
        beliefs = maps = n[f"beliefs_stage{t}"] = predict(n, m, t, maps)
        if lifting and (t < m.stages or last_fusion):
            landmarks = lift(n, m, beliefs, f"_stage{t}", train, backward)
            projected = n[f"projected_stage{t}"] = project(m, t, landmarks, beliefs, backward)
            maps = n[f"fused_stage{t}"] = fuse(t, beliefs, projected)
        if train:
            judge(n, t, maps if loss == "fused" else beliefs)
    if lifting and not train:
        lift(n, m, maps, "", train, backward)  # the final estimate: landmarks and pose
    return n.to_proto()


def inputs(n, m, lifting, train, data):
    """data (N,3,S,S), center_map (N,1,S,S), camera (N,3,3); label (N,18,S/stride,S/stride) and
    mask (N,18), for stage 1 of everyone in sight, later of the person in the centre, as CPM."""
    if not train:
        n.data = L.Input(shape=dict(dim=[1, 3, m.input, m.input]))
        n.center_map = L.Input(shape=dict(dim=[1, 1, m.input, m.input]))
        if lifting:
            n.camera = L.Input(shape=dict(dim=[1, 3, 3]))
        return
    names = ["data", "center_map", "label", "mask", "label_stage1", "mask_stage1", "camera"]
    names = names if lifting else names[:-1]
    tops = python(
        "pose_data",
        "PoseDataLayer",
        dict(
            source=data,
            batch_size=m.batch,
            input_size=m.input,
            stride=m.stride,
            sigma=m.label_sigma,
            augment=True,
            shuffle=True,
            seed=SEED,
            workers=1,
        ),
        name="pose_data",  # not "data": deployed, a layer of that name has no blob for its place
        ntop=len(names),
        param=dict(lr_mult=0, decay_mult=0),  # its place in the data: kept, not learned
    )
    for name, top in zip(names, tops, strict=True):
        n[name] = top


def predict(n, m, t, maps):
    """CNN belief maps b_t (N,18,H,W), from the image and from the maps of stage t - 1."""
    own = min(t, m.trunks)
    if t == own:
        chain(n, m, t, n.data, m.trunk)
    features = n[m.trunk[-1].name.format(t=own)]
    if m.view:  # CPM numbers a stage's convolutions from 1: after a trunk this is the fourth
        view = Conv("conv4_stage{t}" if t == own else "conv1_stage{t}", 5, m.view)
        features = chain(n, m, t, features, [view])
    if t > 1:
        features = n[f"concat_stage{t}"] = L.Concat(features, maps, n.pool_center_lower)
    *hidden, last = m.head if t == 1 else m.refine
    return convolve(m, t, chain(n, m, t, features, hidden), last)


def judge(n, t, maps):
    """Equation 8, without the maps of landmarks that the annotation does not have."""
    suffix = "_stage1" if t == 1 else ""
    known = n[f"known_stage{t}"] = L.Scale(maps, n[f"mask{suffix}"], axis=0)  # times 0 or 1
    n[f"loss_stage{t}"] = L.EuclideanLoss(known, n[f"label{suffix}"])


def lift(n, m, maps, suffix, train, backward):
    """Equation 4: maps to landmarks (N,17,2) px of the maps and, deployed, pose (N,17,3) mm."""
    parameters = dict(model=PRIOR, rotations=ROTATIONS, subpixel=m.subpixel, backward=backward)
    if backward != "none":
        parameters["sigma"] = m.label_sigma / m.stride
    tops = python(
        "lifting",
        "LiftingLayer",
        parameters,
        maps,
        n.camera,
        name=f"lifting{suffix}",
        ntop=1 if train else 2,  # Caffe would print an unused pose at every display
        propagate_down=[backward != "none", False],
    )
    tops = (tops,) if train else tops
    for name, top in zip(("landmarks", "pose"), tops, strict=False):
        n[name + suffix] = top
    return tops[0]


def project(m, t, landmarks, maps, backward):
    """Equations 5 and 6: a Gaussian of the label's width at each landmark, and background."""
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


def fuse(t, beliefs, projected):
    """Equation 7: f_t = w_t b_t + (1 - w_t) bhat_t, with w_t learned, at first one half."""
    return python(
        "fusion",
        "FusionLayer",
        dict(initial=0.5),
        beliefs,
        projected,
        name=f"fusion_stage{t}",
        # Our choice: w_t learns at the base rate, and decay must not pull it to 0.
        param=dict(name=f"fusion_weight_stage{t}", lr_mult=1, decay_mult=0),
    )


def python(module, layer, parameters, *bottoms, **keywords):
    """A layer of python_layers/, with its parameters as JSON."""
    where = dict(module=f"python_layers.{module}", layer=layer, param_str=json.dumps(parameters))
    return L.Python(*bottoms, python_param=where, **keywords)


def chain(n, m, t, top, rows):
    """Convolutions with their ReLU and dropout, and poolings, one on another."""
    for row in rows:
        name = row.name.format(t=t)
        if isinstance(row, Pool):
            top = n[name] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
            continue
        top = n[name] = convolve(m, t, top, row)
        top = n[name.replace("conv", "relu")] = L.ReLU(top, in_place=True)
        if row.drop:
            top = n[name.replace("conv", "drop")] = L.Dropout(
                top, dropout_ratio=DROP, in_place=True
            )
    return top


def convolve(m, t, bottom, row):
    """One convolution. CPM: biases learn twice as fast and do not decay."""
    rate = m.first_rate if t == 1 else 1
    if m.kept_rate is not None:
        # The paper replaces what reads or writes maps, since its landmarks are others (5.2).
        replaced = row.channels == MAPS or row.name.startswith("Mconv1_")
        rate = 1 if replaced else m.kept_rate
    more = {} if row.dilation == 1 else dict(dilation=row.dilation)
    return L.Convolution(
        bottom,
        name=row.name.format(t=t),
        num_output=row.channels,
        kernel_size=row.kernel,
        pad=row.dilation * (row.kernel // 2),
        stride=row.stride,
        weight_filler=GAUSSIAN if row.channels == MAPS else m.filler,
        bias_filler=dict(type="constant"),
        param=[dict(lr_mult=rate, decay_mult=1), dict(lr_mult=2 * rate, decay_mult=0)],
        **more,
    )


# The solvers. Snapshots go where tools/train.py says; the prefix here serves a bare caffe train.
FROM_SCRATCH = """\
# The schedule of CPM, for a batch of 16.
base_lr: 8e-5
momentum: 0.9
weight_decay: 5e-4
lr_policy: "step"
gamma: 0.333
stepsize: 136106
max_iter: 600000
"""
FINE_TUNING = """\
# The schedule of the paper's authors, from CPM's weights, for a batch of 8.
base_lr: 5e-4
lr_policy: "step"
stepsize: 50000
max_iter: 173000
# CPM's: the authors' are not known.
gamma: 0.333
momentum: 0.9
weight_decay: 5e-4
"""
LONG = "display: 20\naverage_loss: 20\nsnapshot: 5000\n"
LITE_SOLVER = """\
# Our choice: Adam needs a tenth of the iterations of momentum here, and no tuning.
type: "Adam"
base_lr: 2e-3
momentum: 0.9
momentum2: 0.999
# Our choice: down to 0 in a straight line, since the last small steps gain most.
lr_policy: "poly"
power: 1
max_iter: 2800
display: 10
average_loss: 10
snapshot: 700
"""


def solver(base, folder, suffix, schedule):
    """A solver of one network; schedule: lines of SolverParameter."""
    run = folder.replace("/", "-") + suffix
    return f"""\
net: "{base}/{folder}/train{suffix}.prototxt"
{schedule}\
# One seed for the fillers and dropout of all networks.
random_seed: {SEED}
snapshot_prefix: "build/train/{run}/snapshot"
solver_mode: CPU
"""


def files(base="prototxt", **choices):
    """Every file: {path below the folder `base`: content}. choices: as in `network`."""
    tuned = dict(kept_rate=1e-3, batch=8)  # the paper's authors
    written = {}
    for size, m in (("", CPM), ("vgg/", VGG), ("lite/", LITE)):
        for kind in ("cpm", "lifting"):
            folder = size + kind

            def net(machine, train, lifting=kind == "lifting"):
                return text(network(machine, lifting=lifting, train=train, **choices))

            written[f"{folder}/deploy.prototxt"] = net(m, False)
            written[f"{folder}/train.prototxt"] = net(m, True)
            if m is LITE:
                written[f"{folder}/solver.prototxt"] = solver(base, folder, "", LITE_SOLVER)
                continue
            written[f"{folder}/solver.prototxt"] = solver(base, folder, "", FROM_SCRATCH + LONG)
            written[f"{folder}/train_finetune.prototxt"] = net(m._replace(**tuned), True)
            written[f"{folder}/solver_finetune.prototxt"] = solver(
                base, folder, "_finetune", FINE_TUNING + LONG
            )
    for content in written.values():
        kind = caffe_pb2.SolverParameter if "net:" in content[:5] else caffe_pb2.NetParameter
        text_format.Parse(content, kind())
    mark = "# Written by prototxt/generate.py: change that, not this.\n"
    return {path: mark + content for path, content in written.items()}


def text(message):
    """A network as text, with the JSON in single quotes so that it stays readable."""

    def unescape(match):
        return "param_str: '" + match[1].replace('\\"', '"') + "'"

    return re.sub(r'param_str: "((?:[^"\\]|\\.)*)"', unescape, text_format.MessageToString(message))


def share(argument):
    """("mpii.pack", 3) of "mpii.pack=3"."""
    name, _, number = argument.rpartition("=") if "=" in argument else (argument, "=", "1")
    if not name or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"expected FILE or FILE=SHARE, got {argument}")
    return name, int(number)


def sources(shares):
    """What the data layer takes as its source."""
    if not shares:
        return TRAINING_DATA
    return dict(shares) if len(shares) > 1 else shares[0][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("--out", type=Path, default=HERE, help="folder (default: this one)")
    parser.add_argument("--loss", choices=("fused", "beliefs"), default="fused")
    parser.add_argument("--backward", choices=("none", "scale-held", "exact"), default="none")
    parser.add_argument("--no-last-fusion", dest="last_fusion", action="store_false")
    parser.add_argument("--data", nargs="+", type=share, default=None, metavar="FILE[=SHARE]",
                        help="to train on (default: build/data/train.json)")  # fmt: skip
    options = vars(parser.parse_args())
    options["data"] = sources(options["data"])
    check, out = options.pop("check"), options.pop("out")
    base = out.resolve()
    base = base.relative_to(HERE.parent) if base.is_relative_to(HERE.parent) else base
    try:
        written = files(base, **options)
    except ValueError as error:
        sys.exit(f"error: {error}")
    stale = []
    for path, content in written.items():
        file = out / path
        if not file.is_file() or file.read_text() != content:
            stale.append(path)
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
    for path in stale:
        print(f"{out / path}: {'is stale: run generate.py' if check else 'written'}")
    if check and stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
