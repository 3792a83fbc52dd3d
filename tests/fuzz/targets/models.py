"""Models of poses."""

import prior
from prior import mat_file
from tests.fuzz.target import Target


def _model(folder):
    prior.load().save(folder / "model.npz")
    return folder / "model.npz"


def _mat_model(folder):
    mat_file.write(folder / "prob_model_params.mat", prior.load())
    return folder / "prob_model_params.mat"


TARGETS = (
    Target("model .npz", _model, prior.load),
    Target("model .mat", _mat_model, mat_file.read),
)
