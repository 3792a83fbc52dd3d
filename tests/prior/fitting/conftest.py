import pytest

from prior.fitting import alignment
from prior.normalise import NormalisedPoses
from tests.poses import random_poses


@pytest.fixture(scope="session")
def poses():
    return NormalisedPoses(random_poses(150))


@pytest.fixture(scope="session")
def aligned(poses):
    return alignment.align(poses, 6, alignment.Method("closed-form"))
