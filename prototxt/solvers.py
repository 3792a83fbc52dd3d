"""The schedules, as Caffe's SolverParameter in text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prototxt.machines import PHOTOGRAPHS, RENDERED

# Our choice; one for all networks, so that the baseline and the paper's see the same images.
SEED = 2017

FROM_SCRATCH = """\
# The schedule of CPM's training/genProto.py, for a batch of 16.
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
# Our choice: Adam, since CPM's rate and momentum are meant for hundreds of thousands of iterations,
# with a rate that falls to 0 in a straight line, so that there are no steps to choose.
ADAM = """\
type: "Adam"
momentum: 0.9
momentum2: 0.999
lr_policy: "poly"
power: 1
display: 20
average_loss: 20
"""
LITE_SOLVER = f"{ADAM}base_lr: 3e-3\nmax_iter: 4200\nsnapshot: 1000\n"
# Goes on from the weights of the lite pose machine, as the paper does from CPM's.
LITE_FINE_TUNING = f"{ADAM}base_lr: 5e-4\nmax_iter: 800\nsnapshot: 200\n"
# Our choice: thirty times through 8,000 photographs, some five hours of a core, and then three
# quarters of an hour more.
SMALL_SOLVER = f"{ADAM}base_lr: 2e-3\nmax_iter: 30000\nsnapshot: 500\n"
SMALL_FINE_TUNING = f"{ADAM}base_lr: 1e-3\nmax_iter: 4000\nsnapshot: 500\n"


class Schedules(NamedTuple):
    """How a network is trained: from scratch, but for released weights of its trunk, and from the
    weights of a pose machine; tuned: what of the Machine is another in the latter, which then has a
    train_finetune.prototxt."""

    scratch: str
    fine_tuning: str
    tuned: Mapping[str, Any]


# As the paper's authors fine-tuned.
LONG_TRAINING = Schedules(FROM_SCRATCH + LONG, FINE_TUNING + LONG, {"kept_rate": 1e-3, "batch": 8})
# Photographs teach what people look like, rendered people where spine and nose are, which the
# photographs' annotations have not.
MIXED = {"data": {PHOTOGRAPHS: 3, RENDERED: 1}}
SMALL_TRAINING = Schedules(SMALL_SOLVER, SMALL_FINE_TUNING, MIXED)
SHORT_TRAINING = Schedules(LITE_SOLVER, LITE_FINE_TUNING, {})

# By the folder of the networks, as machines.MACHINES.
SCHEDULES = {
    "": LONG_TRAINING,
    "vgg/": LONG_TRAINING,
    "lite/": SHORT_TRAINING,
    "small/": SMALL_TRAINING,
}


def solver(base: str | Path, folder: str, suffix: str, schedule: str, seed: int, net: str) -> str:
    """The text of a solver.

    base, folder: where its network is; suffix: of the solver's name; schedule: lines of
    SolverParameter; net: the name of the network's file.
    """
    # For a plain `caffe train`, which wants the folder to be there (build/env.sh makes it);
    # tools.train has a folder of its own for each training.
    snapshots = "build/snapshots/" + folder.replace("/", "-") + suffix
    return f"""\
net: "{base}/{folder}/{net}.prototxt"
{schedule}\
# One seed for the fillers and dropout of all networks.
random_seed: {seed}
snapshot_prefix: "{snapshots}"
solver_mode: CPU
"""
