"""Who is who: numbers and names in files, and people who are followed by place."""

import numpy as np
import pytest

from prior.landmark_sets import COCO
from tests import landmark_files as files
from tools.lift import keypoints, tracks

POINTS = files.image_points(files.walk(6))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7, 7, 7, 3, 3, 3], [7, 7, 7, 3, 3, 3]),
        ([[7], [7], [7.0], [3], [3], [3]], [7, 7, 7, 3, 3, 3]),
        ([[[7.0], [1.0]]] * 3 + [[[3.0], [1.0]]] * 3, [7, 7, 7, 3, 3, 3]),
        (["7", "7", 7, 3, "3", 3], [7, 7, 7, 3, 3, 3]),
        (["ann", "ann", "ben", "ben", "ann", 0], [1, 1, 2, 2, 1, 0]),
        ([10**30, 10**30, 1.5, 1.5, 2**31, 1], [0, 0, 2, 2, 3, 1]),
        ([None, -1, [], {}, True, float("nan")], [-1] * 6),
        ([5, None, 5, None, 5, None], [5, -1, 5, -1, 5, -1]),
    ],
)
def test_ids_of_any_form(tmp_path, ids, expected):
    path = files.results(tmp_path / "a.json", files.in_set(POINTS, COCO), idx=ids)
    people = keypoints.read(path)
    assert people.person.tolist() == expected
    # Names get numbers, which is said.
    assert any("people have names" in n for n in people.notes) == any(
        isinstance(i, str) and not i.isdigit() or i in (10**30, 1.5) for i in ids if i != []
    )
    # So is who has none where others have one.
    assert any("3 of 6 poses do not say whose" in n for n in people.notes) == (
        expected.count(-1) == 3
    )
    assert len(people.notes) <= 1


def test_a_person_twice_in_a_frame_is_told_apart_by_place(tmp_path):
    rows = files.in_set(np.concatenate([POINTS, POINTS + [900, 0]]), COCO)
    path = files.results(tmp_path / "a.json", rows, image_id=[*range(6)] * 2, idx=[4] * 12)
    people = keypoints.read(path)
    assert people.person.tolist() == [-1] * 12 and "person 4 is twice" in people.notes[0]
    assert tracks.link(people.points, people.frame, people.person).tolist() == [0, 1] * 6


@pytest.mark.parametrize("write", [files.table, files.arrays])
def test_several_poses_of_a_frame_that_nobody_owns_are_said(tmp_path, write):
    path = tmp_path / ("a.csv" if write is files.table else "a.npz")
    assert not keypoints.read(write(path, POINTS)).notes
    people = keypoints.read(write(path, POINTS, count=2))
    assert people.notes == (
        "3 frames have several poses (first: 0), and nothing says whose: taken as several people, "
        "told apart by place",
    )


def test_blank_cells_among_names_are_said(tmp_path):
    path = files.table(tmp_path / "a.csv", POINTS)
    header, *lines = path.read_text().splitlines()
    rows = [f"{'' if i == 3 else 'ann'},{line}" for i, line in enumerate(lines)]
    path.write_text("\n".join([f"person,{header}", *rows]))
    people = keypoints.read(path)
    assert people.person.tolist() == [0, 0, 0, -1, 0, 0]
    assert any("1 of 6 poses do not say whose they are" in note for note in people.notes)


def test_who_has_a_number_keeps_it_beside_others():
    points = np.concatenate([[one, one + [900, 0]] for one in POINTS])
    frame = np.repeat(np.arange(6), 2)
    person = np.tile([-1, 0], 6)
    assert tracks.link(points, frame, person).tolist() == [1, 0] * 6


def test_people_who_walk_through_each_other_are_followed():
    random = np.random.default_rng(3)
    start, speed = random.uniform(0, 900, (3, 2)), random.normal(size=(3, 2)) * 12
    poses = files.image_points(files.walk(60))
    points, truth, frame = [], [], []
    for i, pose in enumerate(poses):
        for k in random.permutation(3):
            points.append(pose + start[k] + i * speed[k])
            truth.append(k)
            frame.append(i)
    person = tracks.link(np.array(points), np.array(frame), np.full(180, -1))
    first = dict(zip(truth[:3], person[:3].tolist(), strict=True))
    assert person.tolist() == [first[k] for k in truth]


def test_people_keep_their_numbers():
    # Two walk past each other and change places in the file; one comes late, after a gap.
    one, two = POINTS + [0, 0], POINTS + [400, 0]
    points, frame = [], []
    for i in range(5):
        pair = [one[i] + [30 * i, 0], two[i] - [30 * i, 0]]
        points += pair if i % 2 else pair[::-1]
        frame += [i, i]
    points.append(POINTS[4] + [0, 900])
    person = tracks.link(np.array(points), np.array([*frame, 4]), np.full(11, -1))
    assert person.tolist() == [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 2]


def test_people_of_arrays_keep_their_numbers(tmp_path):
    person = np.array([4, 4, 4, 9, 9, 9])
    people = keypoints.read(files.arrays(tmp_path / "a.npz", POINTS, person=person))
    assert people.person.tolist() == person.tolist()
