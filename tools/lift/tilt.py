"""The tilt of a camera that nobody knows: the one that makes the poses most probable together."""

from typing import NamedTuple

import numpy as np

from prior.camera import compose
from prior.lifting.candidates import ELEVATIONS, ROLLS
from prior.lifting.plausibility import MOST_MISFIT, judge

# The number of poses in which one tilt is searched for all: our choice.
SAMPLE = 48
# How much one pose may speak against a tilt, nats: of 4, 8 and 20 that which leaves the smallest
# error with one odd pose (an animal, a person who leans) among two or three on held-out clips.
DOUBT = 8.0


class Tilt(NamedTuple):
    """A camera's tilt, radians. poses: how many it was searched in."""

    elevation: float
    roll: float
    poses: int

    def record(self):
        """As lifted.Poses.meta has it, degrees."""
        return {
            "elevation_deg": round(float(np.rad2deg(self.elevation)), 3),
            "roll_deg": round(float(np.rad2deg(self.roll)), 3),
            "poses": self.poses,
        }

    @classmethod
    def of(cls, record):
        """The Tilt of `record`."""
        angles = np.deg2rad([record["elevation_deg"], record["roll_deg"]])
        return cls(*map(float, angles), record["poses"])

    def described(self):
        """In words, degrees."""
        down, roll = np.rad2deg([self.elevation, self.roll]).round(1)
        looks = f"{abs(down):g} degrees {'down' if down >= 0 else 'up'}"
        how = f"searched in {self.poses} pose{'s' if self.poses > 1 else ''}"
        return f"the camera looks {looks}, roll {roll:g} degrees: {how}"

    def at_edge(self):
        """What is wrong with a tilt at the edge of what is searched, in words, or nothing."""
        edges = []
        for name, value, grid in (
            ("elevation", self.elevation, ELEVATIONS), ("roll", self.roll, ROLLS),
        ):  # fmt: skip
            if np.isclose(value, [grid[0], grid[-1]], atol=1e-4).any():
                low, high, at = np.rad2deg([grid[0], grid[-1], value]).round(1)
                edges.append(
                    f"{name} {at:g} is at the edge of what is searched, {low:g} to {high:g}"
                )
        if not edges:
            return ""
        return f"{' and '.join(edges)} degrees: if it is not so, give --elevation and --roll"


def common(lifter, camera, points, weight):
    """The Tilt that makes a sample of the poses most probable together.

    camera: a Calibration; points (N, 17, 2), px; weight (N, 17). The sample is of poses that have
    the same landmarks, since these share their tables. Poses that are plausible under no tilt have
    no say, unless all are so.
    """
    patterns, pattern = np.unique(weight, axis=0, return_inverse=True)
    pattern = pattern.ravel()
    # The pattern with the most landmarks in all.
    landmarks = (patterns > 0).sum(axis=1) * np.bincount(pattern, minlength=len(patterns))
    rows = np.flatnonzero(pattern == landmarks.argmax())
    rows = rows[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int)]
    straight, turns = camera.straighten(points[rows], np.eye(3))
    turn = turns if turns.ndim == 2 else turns[len(turns) // 2]
    grid = [(roll, elevation) for elevation in ELEVATIONS for roll in ROLLS]
    scores, misfits = np.full((2, len(grid), len(rows)), np.nan)
    for i, tilt in enumerate(grid):
        lifted = lifter.lift(
            straight, camera=turn @ compose(*tilt, 0.0), confidence=weight[rows[0]]
        )
        scores[i] = lifted.log_likelihood
        misfits[i] = judge(lifted, lifter.model, lifter.noise_mm).misfit
    say = np.isfinite(scores).any(axis=0)
    people = say & (np.nanmin(np.where(np.isnan(misfits), np.inf, misfits), axis=0) <= MOST_MISFIT)
    scores = scores[:, people if people.any() else say]
    roll, elevation = grid[np.maximum(scores - scores.max(axis=0), -DOUBT).sum(axis=1).argmax()]
    return Tilt(float(elevation), float(roll), scores.shape[1])
