import pytest

import prior
from tests.poses import random_poses


@pytest.fixture(scope="session")
def model():
    return prior.fit(random_poses(400), components=2, basis=12, solver="closed-form")


@pytest.fixture(scope="session")
def lifter(model):
    return prior.Lifter(model, rotations=24)
