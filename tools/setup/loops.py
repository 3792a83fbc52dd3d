"""Compiles the lifting's loops (prior/lifting/compiled.py), so that no program waits for that:

    python -m tools.setup.loops

They are kept beside their files until one of these changes.
"""

import warnings

import numpy as np
from tqdm import tqdm

import prior
from prior.camera import LEVEL
from prior.simulation import INTRINSICS

# Away from the image's middle, so that the lens matters.
PLACE_PX = 600
SCALE_PX = 300


def compile_all():
    """Lift a few poses in every way."""
    model = prior.load()
    points = PLACE_PX + SCALE_PX * np.stack([model.mean[0] @ LEVEL[:2].T] * 3)
    incomplete = np.where(np.arange(points.shape[1])[:, None] > 0, points, np.nan)
    each = {"camera": np.stack([LEVEL] * len(points))}
    lens = {"intrinsics": INTRINSICS}
    doubt = {"covariance": np.tile(9 * np.eye(2), (points.shape[1], 1, 1))}
    ways = {
        "one camera": (points, {}),
        "a camera for each": (points, each | {"refine": True}),
        "the lens": (points, lens),
        "covariances": (points, doubt),
        "missing landmarks": (incomplete, lens | {"robust": True}),
    }
    lifter = prior.Lifter(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poses that cannot be lifted
        for where, how in tqdm(ways.values(), desc="compiling the lifting's loops"):
            lifted = lifter.lift(where, **how)
            lifter.vjp(lifted, pose=lifted.pose)
            lifter.deviation(lifted)


if __name__ == "__main__":
    compile_all()
