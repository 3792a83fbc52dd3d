from dataclasses import replace

import pytest

import prior
from tests.poses import random_poses


@pytest.fixture(scope="session")
def model():
    """Of two that are as probable, since the poses count as their mirror images too: the mirror
    image of the one that is fitted. What the tests allow was measured with it."""
    fitted = prior.fit(random_poses(400), components=2, basis=12, solver="closed-form")
    arrays = {name: getattr(fitted, name) for name in ("mean", "basis", "seeds", "sample")}
    mirrored = fitted.skeleton.mirrored
    return replace(fitted, **{name: mirrored(array) for name, array in arrays.items()})


@pytest.fixture(scope="session")
def lifter(model):
    return prior.Lifter(model, rotations=24)
