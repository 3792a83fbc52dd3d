"""The 3D pose model of the paper: learn it from motion capture, lift 2D landmarks with it."""

from prior.fitting.fit import fit
from prior.lifting.lift import lift
from prior.lifting.lifter import Lifted, Lifter
from prior.model import ModelFileError, PriorModel, load
from prior.normalise import PoseError

__all__ = ["Lifted", "Lifter", "ModelFileError", "PoseError", "PriorModel", "fit", "lift", "load"]
