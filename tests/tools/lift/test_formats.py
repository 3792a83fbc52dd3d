"""One projected motion in every input format and landmark set: the same 3D."""

import json

import numpy as np
import pytest

import prior
from prior.landmark_sets import LANDMARK_SETS
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.landmark_formats import FORMATS, ROUNDED, SINGLE, SIZE
from tools.lift import keypoints, tracks
from tools.lift.lifting import lift
from tools.lift.people import How

MODEL = prior.load()
POINTS = files.image_points(files.walk(4))


def without(missing):
    """POINTS without these landmarks."""
    there = np.array([name not in missing for name in LANDMARKS])
    return np.where(there[:, None], POINTS, np.nan)


def poses(people):
    result, left = lift(people, MODEL, elevation=files.ELEVATION, deviation=False)
    assert not left
    return result.pose_mm


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """A function that gives the poses lifted without some landmarks, from plain arrays."""
    folder, known = tmp_path_factory.mktemp("arrays"), {}

    def lifted(missing):
        key = frozenset(missing)
        if key not in known:
            path = folder / f"{len(known)}.npz"
            known[key] = poses(keypoints.read(files.arrays(path, without(missing))))
        return known[key]

    return lifted


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_poses(tmp_path, expected, name):
    write, missing = FORMATS[name]
    people = keypoints.read(write(tmp_path / name, POINTS), How(size=lambda _: SIZE))
    there = [landmark not in missing for landmark in LANDMARKS]
    close = 1e-3 if name in ROUNDED else 1e-8
    np.testing.assert_allclose(people.points[:, there], POINTS[:, there], atol=close)
    assert np.isnan(people.points[:, ~np.array(there)]).all()
    np.testing.assert_array_equal(people.confidence > 0, np.tile(there, (4, 1)))
    assert people.frame.tolist() == [0, 1, 2, 3] and len(people.frames) == 4
    assert not people.left and not people.doubts
    usual = ("coordinates from 0 to 1", "people have names: 0 is")
    assert not [note for note in people.notes if not note.startswith(usual)]
    assert (people.person <= 0).all()
    close = 2e-2 if name in ROUNDED else 2e-3  # mm
    np.testing.assert_allclose(poses(people), expected(missing), atol=close)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - SINGLE))
def test_every_format_has_several_people(tmp_path, name):
    # Two at the same height, far apart, who walk past nobody.
    write, _ = FORMATS[name]
    both = np.stack([POINTS, POINTS + [800, 0]], axis=1).reshape(-1, 17, 2)
    people = keypoints.read(write(tmp_path / name, both, 2), How(size=lambda _: SIZE))
    assert people.frame.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and not people.left
    person = tracks.link(people.points, people.frame, people.person)
    assert person.tolist() == [0, 1] * 4
    shift = np.nanmean(people.points[1::2] - people.points[::2], axis=(0, 1))
    np.testing.assert_allclose(shift, [800, 0], atol=1e-3)


@pytest.mark.parametrize("name", LANDMARK_SETS)
def test_every_landmark_set_gives_the_same_poses(tmp_path, expected, name):
    chosen = LANDMARK_SETS[name]
    missing = {ours for ours in LANDMARKS if ours not in chosen.table}
    path = files.results(tmp_path / "results.json", files.in_set(POINTS, chosen))
    people = keypoints.read(path, How(chosen))
    assert people.set_name == chosen.name and set(people.lacks) == missing
    np.testing.assert_allclose(poses(people), expected(missing), atol=2e-3)
    # By the names in the file, in any order.
    order = np.random.default_rng(0).permutation(len(chosen.names))
    rows = files.in_set(POINTS, chosen)[:, order]
    path.write_text(
        json.dumps({
            "points": rows[..., :2].tolist(),
            "confidence": rows[..., 2].tolist(),
            "landmarks": [chosen.names[i] for i in order],
        })
    )  # fmt: skip
    np.testing.assert_allclose(poses(keypoints.read(path)), expected(missing), atol=2e-3)
