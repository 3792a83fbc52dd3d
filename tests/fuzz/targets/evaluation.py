"""Predictions that are evaluated."""

import numpy as np

from prior.skeleton import LANDMARKS
from tests import annotated
from tests.fuzz.target import Target
from tests.fuzz.targets.landmarks import points
from tests.poses import random_poses
from tools.evaluate import predictions


def _predictions(suffix):
    def make(folder):
        arrays = {
            "landmarks": np.array(LANDMARKS),
            "subject": np.array(["S9"] * 3),
            "action": np.array(["Walking"] * 3),
            "camera": np.array(["54138969"] * 3),
            "frame": np.arange(3),
            "points": points(),
            "poses": random_poses(3, seed=0),
        }
        return annotated.save(folder / f"a.{suffix}", arrays)

    return make


TARGETS = tuple(
    Target(f"predictions .{suffix}", _predictions(suffix), predictions.load)
    for suffix in ("npz", "json")
)
