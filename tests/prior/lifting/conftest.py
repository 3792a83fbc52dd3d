import pytest

import prior
from tests.poses import random_poses


@pytest.fixture(scope="session")
def model():
    """The six models of which these tests speak are this one, those of seeds 1 and 2, and the
    mirror images of the three."""
    return prior.fit(random_poses(400), components=2, basis=12, solver="closed-form")


@pytest.fixture(scope="session")
def lifter(model):
    return prior.Lifter(model, rotations=24)
