"""What the numbers of a file mean: which landmarks they are, how sure, and which are missing."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from prior import landmark_names, landmark_sets, limits
from prior.errors import InputError
from prior.landmark_sets import LandmarkSet
from prior.skeleton import LANDMARKS
from tools.lift import blocks
from tools.lift.coordinates import CENTRED

# The set that a count of landmarks stands for, where it stands for one alone: 14, 15 and 17 do not.
BY_COUNT = {
    len(s.names): s
    for s in (
        landmark_sets.MPII,
        landmark_sets.OPENPOSE_COCO,
        landmark_sets.BODY_25,
        landmark_sets.HALPE_26,
        landmark_sets.MEDIAPIPE,
        landmark_sets.WHOLEBODY,
        landmark_sets.HALPE_136,
    )
}
# Sets that are assumed where nobody says which they are.
UNSURE = (landmark_sets.COCO, landmark_sets.HUMAN36M)
# Bones that all sets have, and how long they are, mm: of a grown person, rounded.
BONES = {
    **{
        (f"{side} {one}", f"{side} {other}"): length
        for side in ("left", "right")
        for one, other, length in (
            ("hip", "knee", 450),
            ("knee", "foot", 450),
            ("shoulder", "elbow", 280),
            ("elbow", "wrist", 250),
            ("shoulder", "hip", 500),
        )
    },
    ("left shoulder", "right shoulder"): 330,
    ("left hip", "right hip"): 260,
}
# People whose landmarks have no names are of another set if its bones have these proportions so
# much better. Our choice: of single poses of the ready prior, seen from all sides, 99 of 100 in
# COCO's order are worse by 0.11 as Human3.6M's, and the right order by 0.08 in none of a thousand.
BETTER = 0.08
SAMPLE = 1000  # people who are compared with them
# A third value beyond these is no confidence: detectors' go from 0 to 1, some to 6, COCO's flags
# to 2, percentages to 100; -1 stands for none.
LOWEST, HIGHEST = -1.0, 100.0
# If one is above this they are percentages: our choice, far above all others.
PERCENT = 10.0
# If so many are below 0, but not -1, they are depths. Our choice: the maximum of a map may be a
# little below 0 where there is nobody, and a pose has as much before as behind its root.
DEPTHS = 0.2
# Coordinates are about a landmark that is at (0, 0) in more than this share of poses. Our choice.
ROOT = 0.5


def set_of(
    block: np.ndarray,
    chosen: LandmarkSet | None,
    names: Sequence[object] | None,
    default: LandmarkSet | None,
) -> tuple[LandmarkSet, list[str]]:
    """The LandmarkSet of people (n, S, 2 or 3) or, of flat lists, (n, M), and notes on it.

    chosen: what the user says; names: what the file says; default: what its format has where nobody
    says; otherwise the number of landmarks tells. Raises InputError where it is not certain.
    """
    counts = _counts(block)
    if chosen is None and names is not None:
        limits.check("names of landmarks", "joints", len(names))
        named = landmark_names.by_names(names)
        if named is None or len(named.names) not in counts:
            raise InputError(
                f"expected landmarks of a known set by their names, got {len(list(names))} for "
                f"{' or '.join(map(str, counts))}: {_few(names)}; say with --landmarks which set "
                "it is"
            )
        ignored = landmark_names.without_counterpart(named)
        if named.name != landmark_names.NAMED or not ignored:
            return named, []
        return named, [f"landmarks by their names; without counterpart: {_few(ignored)}"]
    expected = chosen or default
    if expected is not None and len(expected.names) in counts:
        if chosen is None and expected in UNSURE:
            _check_order(block, expected)
        return expected, []
    known = [BY_COUNT[count] for count in counts if count in BY_COUNT]
    if chosen is None and len(known) == 1:
        return known[0], []
    same = [s for s in landmark_sets.LANDMARK_SETS.items() if len(s[1].names) in counts]
    got = " or ".join(map(str, counts))
    if expected is not None:
        hint = f", as {' or '.join(s.name for _, s in same)} has" if same else ""
        raise InputError(
            f"expected the {len(expected.names)} landmarks of {expected.name}, got {got}{hint}; "
            "try --landmarks"
        )
    raise InputError(
        f"{got} landmarks may be {' or '.join(s.name for _, s in same) or 'anything'}: "
        + (
            f"say which with --landmarks {' or '.join(key for key, _ in same)}"
            if same
            else "no known set has as many"
        )
    )


def _check_order(block: np.ndarray, assumed: LandmarkSet) -> None:
    """Raise InputError where people look more like another set of as many landmarks.

    In a wrong order bones go across the body, and do not have a person's proportions.
    """
    size = len(assumed.names)
    alike = {key: s for key, s in landmark_sets.LANDMARK_SETS.items() if len(s.names) == size}
    sample = block[np.linspace(0, len(block) - 1, min(SAMPLE, len(block))).astype(int)]
    unlike = {key: _unlike_in_set(split(sample, s), s) for key, s in alike.items()}
    own = next(key for key, s in alike.items() if s is assumed)
    best = min(unlike, key=lambda key: unlike[key])
    if unlike[own] > unlike[best] + BETTER:
        raise InputError(
            f"the {size} landmarks have no names, and look like those of {alike[best].name} rather "
            f"than {assumed.name}: say which with --landmarks {best} or {own}"
        )


def _unlike_in_set(block: Float[np.ndarray, "n S 3"], landmark_set: LandmarkSet) -> float:
    """`unlike_a_person` of people of this set."""
    return unlike_a_person(*landmark_set.to_ours(block[..., :2], block[..., 2]))


def unlike_a_person(
    points: Float[np.ndarray, "n 17 2"], confidence: Float[np.ndarray, "n 17"]
) -> float:
    """How far the bones in the image are from a person's proportions, 0 to 2: the mean over people
    who show all of BONES, as vectors of length 1; infinite if nobody does."""
    points = np.where(confidence[..., None] > 0, points, np.nan)
    ends = np.array([[LANDMARKS.index(name) for name in bone] for bone in BONES])
    lengths = np.linalg.norm(points[:, ends[:, 0]] - points[:, ends[:, 1]], axis=2)
    lengths = lengths[np.isfinite(lengths).all(axis=1) & (lengths > 0).any(axis=1)]
    if not len(lengths):
        return np.inf
    typical = np.array(list(BONES.values()), dtype=float)
    lengths /= np.linalg.norm(lengths, axis=1, keepdims=True)
    return float(np.linalg.norm(lengths - typical / np.linalg.norm(typical), axis=1).mean())


def _counts(block: np.ndarray) -> list[int]:
    """How many landmarks there may be: of M values in a list M / 3 with confidences, M / 2 without.

    No two known sets stand for one M.
    """
    if block.ndim == 3:
        return [block.shape[1]]
    return [block.shape[1] // n for n in (3, 2) if block.shape[1] % n == 0]


def _few(names: Sequence[object]) -> str:
    return ", ".join(str(name)[:24] for name in list(names)[:8]) + (
        ", ..." if len(list(names)) > 8 else ""
    )


def split(block: np.ndarray, landmark_set: LandmarkSet) -> Float[np.ndarray, "n S 3"]:
    """People as rows x, y, confidence, 0 to 1; 1 where the file has none. Raises InputError where
    the third value is none."""
    size = len(landmark_set.names)
    block = block.reshape(len(block), size, -1)
    if block.shape[2] not in (2, 3):
        raise InputError(f"expected x, y, confidence of each landmark, got {block.shape[2]} values")
    if block.shape[2] == 2:
        block = blocks.with_third(block, 1.0)
    third = block[..., 2].copy()  # side by side: NumPy is slow along axes of three
    # Most are numbers from 0 to 1: of NaN neither is true.
    if third.min() >= 0 and third.max() <= 1 and np.isfinite(block.sum()):
        return block
    wrong = third[(third < LOWEST) | (third > HIGHEST)]
    if wrong.size:
        raise InputError(
            f"expected a confidence as the third value of each landmark, got {wrong[0]:.6g}; "
            "poses in 3D? leave out their depth"
        )
    if ((third < 0) & (third != LOWEST)).mean() > DEPTHS:
        raise InputError(
            "expected a confidence as the third value of each landmark, got "
            f"{third[third < 0][0]:.6g} and others below 0; poses in 3D? leave out their depth"
        )
    if (third > PERCENT).any():
        third = third / 100
    finite = np.isfinite(block[..., 0] + block[..., 1] + third)
    result = block.copy()
    result[..., 2] = np.where(finite, third, 0).clip(0, 1)
    return result


def without_markers(block: Float[np.ndarray, "n S 3"]) -> Float[np.ndarray, "n S 3"]:
    """The people with confidence 0 at (-1, -1), and at (0, 0).

    So formats without a confidence mark what is missing; no landmark is at exactly these points,
    but the one that coordinates are about, which is at (0, 0) in most poses.
    """
    x, y = block[..., 0], block[..., 1]
    marked = (x == -1) & (y == -1)
    middle = (x == 0) & (y == 0)
    if not (marked | middle).any():
        return block
    others = ~marked & (block[..., 2] > 0) & ~middle
    below = np.count_nonzero(others & (x < 0)) + np.count_nonzero(others & (y < 0))
    if below > CENTRED * 2 * np.count_nonzero(others):
        always = middle.mean(axis=0) > ROOT
        middle &= ~always | (np.count_nonzero(always) > 1)
    result = block.copy()
    result[..., 2][marked | middle] = 0.0
    return result
