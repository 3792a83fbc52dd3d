"""What can be chosen of the networks: the paper's way, and what an ablation changes."""

from typing import NamedTuple

from prototxt.solvers import SEED


class Choices(NamedTuple):
    """In what the paper and its authors' code differ, and what an ablation changes.

    The defaults are the paper's.
    """

    loss: str = "fused"  # equation 8: on the "fused" maps, or on the "beliefs" before the fusion
    last_fusion: bool = True  # False: the last stage has no lifting and no fusion
    lift: str | None = None  # one of machines.LIFTINGS; None: the Machine's
    backward: str = "none"  # gradient through the lifting: "scale-held" (supplement) or "exact"
    fusion: str = "stage"  # a weight w_t for each "stage", for each "landmark" of it, or "fixed"
    # A file of annotations, or {file: its share of the samples}; None: the Machine's
    data: str | dict | None = None
    prior: str | None = None  # file of the pose model; None: the Machine's
    seed: int = SEED  # of fillers and dropout, and of the order and augmentation of the data
