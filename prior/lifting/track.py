"""A person's frames one after another: the most probable sequence of poses, and its smoothing.

Beyond the paper, which lifts every image alone; reference.py has none of this. Seen from one side,
a limb toward the camera and one away from it look alike, and single frames go to and fro between
the two. Here each frame keeps the highest peaks of its density (rotation and component), and
Viterbi's algorithm takes one of each, so that the sum of log densities is the highest, that of a
prior of smooth motion included.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solveh_banded

from prior.lifting.full import Solved
from prior.lifting.least_squares import Solution, Views

# Prior of the motion: standard deviation of a landmark's speed, mm/s, the mean landmark held, and
# of its acceleration along an axis, mm/s^2. Root mean squares of CMU's clips, at 12 a second,
# are 750 and 5,400. Speeds from 300 to 1,500 and accelerations from 5,000 to 10,000 lift training
# clips alike, within 1 %.
SPEED = 750.0
ACCELERATION = 7000.0

# A motion is no less probable than this, nats: a cut or a jump ends a sequence, and a frame that is
# wrong altogether does not rule the others. Our choice.
LEAST = -30.0


def joined(parts: list[Solved], size: int) -> Solved:
    """The Solved of consecutive chunks of `size` images as one."""
    moved = [part._replace(row=part.row + i * size) for i, part in enumerate(parts)]

    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in moved])

    fields = {name: all_of(name) for name in Solved._fields if name not in ("views", "solution")}
    views = Views(*map(np.concatenate, zip(*(part.views for part in parts), strict=True)))
    solution = Solution(*map(np.concatenate, zip(*(part.solution for part in parts), strict=True)))
    return Solved(**fields, views=views, solution=solution)


def motion(
    before: Float[np.ndarray, "A L 3"], after: Float[np.ndarray, "B L 3"], seconds: float
) -> Float[np.ndarray, "A B"]:
    """Log density, up to a constant, of the motions from poses, mm, to others so long after.

    The landmarks of a body move together, so that their mean square counts as one movement.
    """
    squared = np.square(after - before[:, None]).sum(axis=-1).mean(axis=-1)
    return np.maximum(-0.5 * squared / (SPEED * seconds) ** 2, LEAST)


def most_probable(solved: Solved, rate: float) -> Int[np.ndarray, "N"]:
    """Which candidate of each row makes the most probable sequence, of `rate` frames a second.

    Rows without a candidate that is ok are bridged; they have their first.
    """
    order = np.argsort(solved.row, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(solved.row[order])) + 1)
    which = np.array([group[0] for group in groups if len(group)], dtype=int)
    frames = [(i, group[solved.ok[group]]) for i, group in enumerate(groups)]
    frames = [(i, group) for i, group in frames if len(group)]
    if not frames:
        return which
    score, back = solved.log_density[frames[0][1]], []
    for (i, group), (j, after) in zip(frames[:-1], frames[1:], strict=True):
        moves = motion(solved.pose[group], solved.pose[after], (j - i) / rate)
        total = score[:, None] + moves
        back.append(total.argmax(axis=0))
        score = total.max(axis=0) + solved.log_density[after]
    place = int(score.argmax())
    for t in range(len(frames) - 1, -1, -1):
        i, group = frames[t]
        which[i] = group[place]
        place = int(back[t - 1][place]) if t else place
    return which


def smoothed(
    pose: Float[np.ndarray, "N L 3"], moments: Float[np.ndarray, "N V V"], rate: float
) -> Float[np.ndarray, "N L 3"]:
    """The motion that is the most probable, of poses that are off by these second moments, mm^2,
    NaN where a pose is not known, and with accelerations of ACCELERATION. Each landmark is smoothed
    by itself, along the axes in which it is unsure."""
    count, size = pose.shape[:2]
    result = np.empty_like(pose)
    step = (rate**2 / ACCELERATION) ** 2
    for landmark in range(size):
        own = slice(3 * landmark, 3 * landmark + 3)
        block = moments[:, own, own] + np.eye(3)  # no pose is surer than a millimetre
        known = np.asarray(np.isfinite(block).all(axis=(1, 2)))
        precision = np.where(
            known[:, None, None],
            np.linalg.inv(np.where(known[:, None, None], block, np.eye(3))),
            0,
        )
        # Upper bands of a matrix of 3 x 3 blocks: entry (i, j) is at [6 + i - j, j].
        bands = np.zeros((7, 3 * count))
        for a in range(3):
            for b in range(a, 3):
                bands[6 + a - b, b::3] = precision[:, a, b]
        second = np.array([1.0, -2.0, 1.0])
        for t in range(count - 2):
            for a in range(3):
                for b in range(a, 3):
                    columns = slice(3 * (t + b), 3 * (t + b) + 3)
                    bands[6 - 3 * (b - a), columns] += step * second[a] * second[b]
        data = np.where(known[:, None], pose[:, landmark], 0)
        data = (precision @ data[..., None])[..., 0]
        result[:, landmark] = solveh_banded(bands, data.ravel()).reshape(count, 3)
    return result - result.mean(axis=1, keepdims=True)
