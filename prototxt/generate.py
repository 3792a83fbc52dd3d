"""Write every network and solver: figure 1 of the paper, as Caffe's NetSpec.

    python -m prototxt.generate            write the files beside this one
    python -m prototxt.generate --check    compare only: exit 1 if a file differs

The options of Choices, with --out FOLDER, write networks with other choices than the paper's.
Needs pycaffe on PYTHONPATH. Paths inside the files are relative to the repository's root. README.md
names the folders, the blobs and the layers; machines.py has the convolutions, solvers.py the
schedules.
"""

# ruff: noqa: C408 (dict(lr_mult=1) reads like the prototxt that it becomes)

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from caffe import NetSpec
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from prior.errors import InputError
from prior.lifting.lifter import ROTATIONS
from prototxt.machines import GAUSSIAN, LIFTINGS, MACHINES, MAPS, Conv, Machine, Pool
from prototxt.solvers import (
    SCHEDULES,
    SEED,
    solver,
)

Top: TypeAlias = Any  # a blob of a NetSpec

HERE = Path(__file__).resolve().parent
DROP = 0.5  # CPM's training/genProto.py
# A deployed network normalises with running means and variances. This is what each batch leaves of
# them, so that they are of the last hundred batches or so: our choice.
AVERAGED = 0.99
TRAINING_DATA = "build/data/train.json"
PRIOR = "build/prior.npz"


class Choices(NamedTuple):
    """In what the paper and its authors' code differ, and what an ablation changes.

    The defaults are the paper's.
    """

    loss: str = "fused"  # equation 8: on the "fused" maps, or on the "beliefs" before the fusion
    last_fusion: bool = True  # False: the last stage has no lifting and no fusion
    lift: str | None = None  # one of machines.LIFTINGS; None: the Machine's
    backward: str = "none"  # gradient through the lifting: "scale-held" (supplement) or "exact"
    fusion: str = "stage"  # a weight w_t for each "stage", for each "landmark" of it, or "fixed"
    data: str | dict = TRAINING_DATA  # a file of annotations, or {file: its share of the samples}
    prior: str = PRIOR  # file of the pose model
    seed: int = SEED  # of fillers and dropout, and of the order and augmentation of the data


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
    return n.to_proto()


def inputs(n: NetSpec, m: Machine, lifting: bool, train: bool, c: Choices) -> None:
    """data (N, 3, S, S), center_map (N, 1, S, S) and camera (N, 3, 3); in training label
    (N, 18, S / stride, S / stride) and mask (N, 18).

    As CPM's, the labels of stage 1 are of everyone in sight, the others of the person in the
    centre.
    """
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
            source=c.data,
            batch_size=m.batch,
            input_size=m.input,
            stride=m.stride,
            sigma=m.label_sigma,
            augment=m.augment,
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
    """The CNN's belief maps b_t (N, 18, H, W), from the image and from the maps of stage t - 1."""
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
    """Equation 4: maps to landmarks (N, 17, 2), map px, and in a deploy network pose (N, 17, 3),
    mm. Returns the landmarks."""
    parameters = dict(model=c.prior, rotations=ROTATIONS)
    parameters |= LIFTINGS[c.lift or m.lift] | dict(backward=c.backward)
    if c.backward != "none":
        parameters["sigma"] = m.label_sigma / m.stride
    tops = python(
        "lifting",
        "LiftingLayer",
        parameters,
        maps,
        n.camera,
        name=f"lifting{suffix}",
        ntop=1 if train else 2,  # Caffe would print an unused pose at every display
        propagate_down=[c.backward != "none", False],
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


def chain(n: NetSpec, m: Machine, t: int, top: Top, rows: Iterable[Conv | Pool]) -> Top:
    """Poolings, and convolutions with their normalisation, ReLU and dropout, in this order."""
    for row in rows:
        name = row.name.format(t=t)
        if isinstance(row, Pool):
            top = n[name] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=row.kernel, stride=2)
            continue
        top = n[name] = convolve(m, t, top, row)
        if m.normalise:
            top = n[name.replace("conv", "norm")] = L.BatchNorm(
                top, in_place=True, moving_average_fraction=AVERAGED
            )
            top = n[name.replace("conv", "scale")] = L.Scale(top, in_place=True, bias_term=True)
        top = n[name.replace("conv", "relu")] = L.ReLU(top, in_place=True)
        if row.drop:
            top = n[name.replace("conv", "drop")] = L.Dropout(
                top, dropout_ratio=DROP, in_place=True
            )
    return top


def convolve(m: Machine, t: int, bottom: Top, row: Conv) -> Top:
    """One convolution. As CPM's, biases learn twice as fast and do not decay."""
    rate = m.first_rate if t == 1 else m.later_rate
    if m.kept_rate is not None:
        # The paper replaces the layers that read or write maps, since its landmarks are not CPM's
        # (5.2).
        replaced = row.channels == MAPS or row.name.startswith("Mconv1_")
        rate = 1 if replaced else m.kept_rate
    more = {} if row.dilation == 1 else dict(dilation=row.dilation)
    param = [dict(lr_mult=rate, decay_mult=1)]
    if m.normalise and row.channels != MAPS:
        more["bias_term"] = False  # normalisation would remove it; the Scale layer has one
    else:
        more["bias_filler"] = dict(type="constant")
        param.append(dict(lr_mult=2 * rate, decay_mult=0))
    return L.Convolution(
        bottom,
        name=row.name.format(t=t),
        num_output=row.channels,
        kernel_size=row.kernel,
        pad=row.dilation * (row.kernel // 2),
        stride=row.stride,
        weight_filler=GAUSSIAN if row.channels == MAPS else m.filler,
        param=param,
        **more,
    )


def files(base: str | Path = "prototxt", **choices: Any) -> dict[str, str]:
    """Every file: {its path in the folder `base`: its text}. choices: of Choices."""
    tuned = dict(kept_rate=1e-3, batch=8)  # as the paper's authors fine-tuned
    seed = Choices(**choices).seed
    written = {}
    for size, m in MACHINES.items():
        schedules = SCHEDULES[size]
        for kind in ("cpm", "lifting"):
            folder = size + kind

            def net(machine: Machine, train: bool, lifting: bool = kind == "lifting") -> str:
                return text(network(machine, lifting=lifting, train=train, **choices))

            def schedule(suffix: str, lines: str, net: str, folder: str = folder) -> None:
                path = f"{folder}/solver{suffix}.prototxt"
                written[path] = solver(base, folder, suffix, lines, seed, net)

            written[f"{folder}/deploy.prototxt"] = net(m, False)
            written[f"{folder}/train.prototxt"] = net(m, True)
            schedule("", schedules.scratch, "train")
            if schedules.tuned:
                written[f"{folder}/train_finetune.prototxt"] = net(m._replace(**tuned), True)
            fine_tuned = "train_finetune" if schedules.tuned else "train"
            schedule("_finetune", schedules.fine_tuning, fine_tuned)
    for content in written.values():
        kind = caffe_pb2.SolverParameter if "net:" in content[:5] else caffe_pb2.NetParameter
        text_format.Parse(content, kind())
    mark = "# Written by prototxt/generate.py: change that, not this.\n"
    return {path: mark + content for path, content in written.items()}


def text(message: Any) -> str:
    """A NetParameter as text, with its JSON in single quotes, which keeps it readable."""

    def unescape(match: re.Match) -> str:
        return "param_str: '" + match[1].replace('\\"', '"') + "'"

    return re.sub(r'param_str: "((?:[^"\\]|\\.)*)"', unescape, text_format.MessageToString(message))


def share(argument: str) -> tuple[str, int]:
    """("mpii.pack", 3) of "mpii.pack=3"."""
    name, _, number = argument.rpartition("=") if "=" in argument else (argument, "=", "1")
    if not name or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"expected FILE or FILE=SHARE, got {argument}")
    return name, int(number)


def sources(shares: list[tuple[str, int]] | None) -> str | dict[str, int]:
    """What the data layer takes as its source."""
    if not shares:
        return TRAINING_DATA
    return dict(shares) if len(shares) > 1 else shares[0][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("--out", type=Path, default=HERE, help="folder (default: this one)")
    parser.add_argument("--loss", choices=("fused", "beliefs"), default="fused")
    parser.add_argument(
        "--lift",
        choices=sorted(LIFTINGS),
        help="each stage: as published, or to the most probable pose from landmarks at fractions "
        "of a cell (default: published at 368 px, probable in the lite networks)",
    )
    parser.add_argument("--backward", choices=("none", "scale-held", "exact"), default="none")
    parser.add_argument("--no-last-fusion", dest="last_fusion", action="store_false")
    parser.add_argument("--fusion", choices=("stage", "landmark", "fixed"), default="stage")
    parser.add_argument("--prior", default=PRIOR, help=f"pose model (default: {PRIOR})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"default: {SEED}")
    parser.add_argument(
        "--data",
        nargs="+",
        type=share,
        default=None,
        metavar="FILE[=SHARE]",
        help="to train on (default: build/data/train.json)",
    )
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
        print(
            f"{out / path}: {'is stale: run python -m prototxt.generate' if check else 'written'}"
        )
    if check and stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
