"""People whose numbers are exchanged within a file: said, and not said of people who cross."""

import numpy as np
import pytest

from prior.camera import level_camera, vertical_rotation
from prior.landmark_sets import COCO
from prior.mocap import motion
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import keypoints, lifted, tracks
from tools.lift.people import How

CLIPS = [clip for clip in motion.load() if len(clip.poses) >= 60]
FRAMES = 60
WALK = files.image_points(files.walk(FRAMES))


def crossing(random, step=1):
    """(F, 2, 17, 2), px: two people of the carried motion, whose paths cross halfway."""
    people = []
    for i in random.choice(len(CLIPS), 2, replace=False):
        poses = CLIPS[i].poses[::step].astype(float)
        start = random.integers(max(1, len(poses) - FRAMES + 1))
        turned = poses[start : start + FRAMES] @ vertical_rotation(random.uniform(-3, 3)).T
        people.append(turned - turned[len(turned) // 2].mean(axis=0))
    count = min(map(len, people))
    halves = [(len(p) - count) // 2 for p in people]
    together = np.stack([p[h : h + count] for p, h in zip(people, halves, strict=True)], axis=1)
    points = 0.2 * (together @ level_camera(np.deg2rad(10)).T)[..., :2] + [640, 360]
    return points + random.normal(size=points.shape)


def said(points, person):
    """Of points (F, P, 17, 2) and the people's numbers (F, P)."""
    frame = np.repeat(np.arange(len(points)), points.shape[1])
    return tracks.exchanges(points.reshape(-1, 17, 2), frame, np.asarray(person).ravel())


@pytest.mark.parametrize(("step", "share"), [(1, 0.9), (3, 0.6)])
def test_real_people_who_cross_are_not_taken_for_exchanged(step, share):
    random, hits = np.random.default_rng(step), 0
    for _ in range(40):
        points = crossing(random, step)
        person = np.tile([4, 9], (len(points), 1))
        assert said(points, person) == []
        at = int(random.integers(2, len(points) - 2))
        person[at:] = person[at:, ::-1]
        result = said(points, person)
        assert result in ([], [(at, [4, 9])])
        hits += bool(result)
    assert hits >= share * 40


def test_three_who_change_round_and_one_who_was_away():
    points = WALK[:, None] + [[[[0, 0]], [[300, 0]], [[700, 0]]]]
    person = np.tile([0, 1, 2], (FRAMES, 1))
    person[20:] = [2, 0, 1]
    assert said(points, person) == [(20, [0, 1, 2])]
    # Exchanged for five frames only: at both ends.
    person = np.tile([0, 1, 2], (FRAMES, 1))
    person[20:25] = [1, 0, 2]
    assert said(points, person) == [(20, [0, 1]), (25, [0, 1])]
    # One is out of sight while it happens, and nobody says who the third is.
    person = np.tile([0, 1, -1], (FRAMES, 1))
    person[20:] = [1, 0, -1]
    points[15:20, 0] = np.nan
    assert said(points, person) == [(20, [0, 1])]


def test_jumps_that_are_no_exchange():
    points = WALK[:, None] + [[[[0, 0]], [[300, 0]]]]
    person = np.tile([0, 1], (FRAMES, 1))
    cut = points.copy()
    cut[30:] += [40, 500]
    assert said(cut, person) == []
    one = points.copy()
    one[30:, 0] += [300, 300]  # beside where the other is
    assert said(one, person) == []
    assert said(points[:1], person[:1]) == said(points[:0], person[:0]) == []
    assert said(points[:, :1], np.arange(FRAMES)) == []
    random = np.random.default_rng(0)
    assert said(random.uniform(0, 900, (50, 80, 17, 2)), np.tile(np.arange(80), (50, 1))) == []


def test_it_is_one_line_and_by_place_mends_it(tmp_path, capsys):
    points = (WALK[:, None] + [[[[0, 0]], [[300, 0]]]]).reshape(-1, 17, 2)
    ids = np.tile([5, 2], (FRAMES, 1))
    ids[33:] = ids[33:, ::-1]
    path = files.results(
        tmp_path / "alphapose.json",
        files.in_set(points, COCO),
        image_id=[f"{i // 2}.jpg" for i in range(2 * FRAMES)],
        idx=ids.ravel().tolist(),
    )
    out = tmp_path / "out.npz"
    arguments = [str(path), "--out", str(out), "--elevation", "10", "--no-deviation"]
    assert tool.main(arguments) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "exchange" in line]
    assert "people 2 and 5 exchange places from one frame to the next (at 33.jpg)" in line
    assert lifted.read(out).person.reshape(-1, 2).tolist() == ids.tolist()
    assert tool.main([*arguments, "--by-place"]) == 0
    assert "exchange" not in capsys.readouterr().err
    assert lifted.read(out).person.tolist() == [0, 1] * FRAMES
    assert keypoints.read(path, How(by_place=True)).person.tolist() == [-1] * (2 * FRAMES)
