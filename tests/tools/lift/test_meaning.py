"""What the numbers of a file mean: names, px, left and right, who is who, and what adds up."""

import json
import re

import cv2
import numpy as np
import pytest

from prior.landmark_names import by_names, canonical
from prior.landmark_sets import BODY_25, COCO, HUMAN36M, LANDMARK_SETS, MPII
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.landmark_formats import controlnet_normalised, videopose3d
from tools.lift import __main__ as tool
from tools.lift import keypoints, lifted, tracks
from tools.lift.counting import FRAMES, PEOPLE, LeftOut, summary
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(6))


def results(path, rows, **more):
    """COCO's results: rows (N, S, 3), and more of each record."""
    records = [
        {"image_id": i, "keypoints": row.ravel().tolist()} | {k: v[i] for k, v in more.items()}
        for i, row in enumerate(rows)
    ]
    path.write_text(json.dumps(records))
    return path


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        ("LKnee l_knee knee_l Left-Knee leftKnee LEFT_KNEE knee.left lknee Lkne", "left knee"),
        ("RAnkle right_foot R_Ankle Rank rankle", "right ankle"),
        ("hip pelvis root MidHip hip_center", "pelvis"),
        ("right_hip RHip hip_right R.Hip", "right hip"),
        ("head_top HeadTop top_head", "head top"),
        ("Lsho LShoulder left_shoulder shoulder_l", "left shoulder"),
    ],
)
def test_spellings_of_a_name(names, plain):
    assert {canonical(name) for name in names.split()} == {plain}


# Human3.6M's landmarks, left before right, as MMPose's configuration names them, and by others.
HUMAN36M_NAMES = (
    "root left_hip left_knee left_foot right_hip right_knee right_foot spine thorax neck_base head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
)
OURS = (
    "hip,left hip,left knee,left foot,right hip,right knee,right foot,spine,neck,nose,head top,"
    "left shoulder,left elbow,left wrist,right shoulder,right elbow,right wrist"
).split(",")


@pytest.mark.parametrize("root", ["root", "pelvis", "Hip"])
def test_categories_are_read_by_their_names(tmp_path, root):
    names = HUMAN36M_NAMES.replace("root", root).split()
    order = [LANDMARKS.index(name) for name in OURS]
    rows = np.concatenate([POINTS, np.full((6, 17, 1), 2.0)], axis=2)[:, order]
    document = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(6)],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
        "annotations": [
            {"image_id": i, "category_id": 1, "keypoints": row.ravel().tolist()}
            for i, row in enumerate(rows)
        ],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    people = keypoints.read(path)
    np.testing.assert_allclose(people.points, POINTS)
    assert people.set_name == HUMAN36M.name and not people.doubts


def test_joints_of_an_unknown_set_are_known_by_their_names(tmp_path):
    names = [*COCO.names, "left_hand", "belt"]
    order = np.random.default_rng(1).permutation(len(names))
    rows = np.concatenate([files.in_set(POINTS, COCO), np.ones((6, 2, 3))], axis=1)[:, order]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"points": rows.tolist(), "landmarks": [names[i] for i in order]}))
    people = keypoints.read(path)
    there = np.isfinite(people.points).all(axis=2)
    np.testing.assert_allclose(people.points[there], POINTS[there])
    assert set(people.lacks) == {"spine", "head top"}
    assert "without counterpart" in people.notes[0] and "belt" in people.notes[0]


# AP-10K's keypoints.
ANIMAL = (
    "left_eye right_eye nose neck root_of_tail left_shoulder left_elbow left_front_paw "
    "right_shoulder right_elbow right_front_paw left_hip left_knee left_back_paw right_hip "
    "right_knee right_back_paw"
)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (ANIMAL.split(), "left_eye, right_eye, nose, neck"),
        ([f"kp{i}" for i in range(17)], "kp0, kp1"),
        (["nose"] * 17, "nose, nose"),
        (COCO.names[:16], "got 16 for 17"),
    ],
)
def test_other_names_are_refused_with_these(tmp_path, names, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"points": POINTS.tolist(), "landmarks": list(names)}))
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert message in str(caught.value) and "--landmarks" in str(caught.value)


@pytest.mark.parametrize("name", LANDMARK_SETS)
def test_the_published_names_of_a_set_are_its_own(name):
    chosen = LANDMARK_SETS[name]
    assert by_names([text.upper() for text in chosen.names]) in LANDMARK_SETS.values()
    backwards = by_names(chosen.names[::-1])
    assert backwards is not None and backwards.table == chosen.table


def test_an_order_that_no_person_has_is_refused(tmp_path):
    # Without names 17 landmarks of results are COCO's, and of plain arrays Human3.6M's.
    rows = np.concatenate([POINTS, np.ones((6, 17, 1))], axis=2)
    path = results(tmp_path / "h36m.json", rows)
    with pytest.raises(KeypointError, match=r"like those of Human3.6M 17 rather than COCO 17"):
        keypoints.read(path)
    np.testing.assert_allclose(keypoints.read(path, How(HUMAN36M)).points, POINTS)
    plain = tmp_path / "coco.npz"
    np.savez(plain, points=files.in_set(POINTS, COCO))
    with pytest.raises(KeypointError, match="--landmarks coco or human36m"):
        keypoints.read(plain)
    assert keypoints.read(plain, How(COCO)).set_name == COCO.name


@pytest.mark.parametrize("count", [14, 15])
def test_an_ambiguous_number_of_landmarks_is_asked_for(tmp_path, count):
    alike = [key for key, s in LANDMARK_SETS.items() if len(s.names) == count]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"points": np.ones((2, count, 2)).tolist()}))
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert len(alike) > 2 and all(key in str(caught.value) for key in alike)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
def test_normalised_coordinates(tmp_path, low, high):
    size = np.array([1280.0, 720.0])
    rows = files.in_set(POINTS, BODY_25)
    pixels = rows[..., :2].copy()
    rows[..., :2] = pixels / (size - 1) * (high - low) + low
    rows[rows[..., 2] == 0] = 0
    path = tmp_path / "a.json"
    frames = [{"people": [{"pose_keypoints_2d": row.ravel().tolist()}]} for row in rows]
    path.write_text(json.dumps(frames))
    with pytest.raises(KeypointError, match=rf"as if from {low} to 1: say the image's size"):
        keypoints.read(path)
    people = keypoints.read(path, How(size=lambda: (1280, 720)))
    there = np.isfinite(people.points).all(axis=2)
    np.testing.assert_allclose(people.points[there], POINTS[there], atol=1e-6)
    assert f"coordinates from {low} to 1" in people.notes[0]


def test_the_program_takes_the_size_from_options_and_images(tmp_path):
    path = controlnet_normalised(tmp_path / "a.json", POINTS)
    frames = json.loads(path.read_text())
    for frame in frames:
        del frame["canvas_width"], frame["canvas_height"]
    path.write_text(json.dumps(frames))
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((480, 640, 3), np.uint8))
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    common = [path, "--elevation", 10, "--no-deviation"]
    for out, more in (
        (outs[0], ["--image-size", 640, 480]),
        (outs[1], ["--images", tmp_path / "image.png"]),
    ):
        assert tool.main([str(a) for a in [*common, "--out", out, *more]]) in (0, 3)
        points = lifted.read(out).points
        there = np.isfinite(points)
        np.testing.assert_allclose(points[there], POINTS[there], atol=2e-3)
    assert tool.main([str(a) for a in [*common, "--out", outs[0]]]) == 1


def test_small_pictures_are_pixels(tmp_path):
    # A person 20 px high is small, and not normalised.
    small = (POINTS - POINTS.min(axis=(0, 1))) / 20
    path = results(tmp_path / "a.json", files.in_set(small + 1, COCO))
    np.testing.assert_allclose(keypoints.read(path).points[:, 9], small[:, 9] + 1)


def test_depth_is_no_confidence(tmp_path):
    path = tmp_path / "a.npz"
    deep = np.concatenate([POINTS, np.full((6, 17, 1), -300.0)], axis=2)
    np.savez(path, points=deep, landmarks=LANDMARKS)
    with pytest.raises(KeypointError, match="got -300; poses in 3D"):
        keypoints.read(path)


def facing(swap=False, hips=False):
    """(1, 17, 3) COCO's landmarks of a standing person who faces the camera; swap: left and right
    of the body exchanged; hips: those of the hips alone."""
    names = list(COCO.names)
    place = {
        "nose": (0, -300), "eye": (12, -310), "ear": (25, -305), "shoulder": (60, -240),
        "elbow": (75, -150), "wrist": (80, -80), "hip": (35, -60), "knee": (35, 60),
        "ankle": (35, 170),
    }  # fmt: skip
    rows = np.ones((1, 17, 3))
    for i, name in enumerate(names):
        side, _, part = name.rpartition("_")
        x, y = place[part]
        # A person's left is on the right-hand side of the image.
        sign = {"left": 1, "right": -1, "": 0}[side]
        if (swap and part not in ("eye", "ear")) or (hips and part == "hip"):
            sign = -sign
        rows[0, i, :2] = 320 + sign * x, 400 + y
    return rows


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        (facing(), None),
        (facing(swap=True), "of the body contradict the face in 1 of 1"),
        (facing(hips=True), "of the hips contradict the shoulders in 1 of 1"),
    ],
)
def test_left_and_right_that_contradict_each_other_are_said(tmp_path, rows, doubt):
    path = results(tmp_path / "a.json", rows)
    doubts = keypoints.read(path).doubts
    assert (not doubts) if doubt is None else doubt in doubts[0]
    # From the side, and with an unsure face, nobody can tell.
    narrow = rows.copy()
    narrow[..., 0] = 320 + 0.2 * (narrow[..., 0] - 320)
    assert not keypoints.read(results(path, narrow)).doubts
    unsure = facing(swap=True)
    unsure[0, 1:5, 2] = 0.1
    assert not keypoints.read(results(path, unsure)).doubts


def test_a_doubt_changes_the_exit_status(tmp_path, capsys):
    path, out = results(tmp_path / "a.json", facing(swap=True)), tmp_path / "o.npz"
    assert tool.main([str(path), "--out", str(out), "--elevation", "0"]) == 3
    assert "contradict the face" in capsys.readouterr().err


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
    path = results(tmp_path / "a.json", files.in_set(POINTS, COCO), idx=ids)
    people = keypoints.read(path)
    assert people.person.tolist() == expected
    # Names get numbers, which is said.
    assert any("people have names" in n for n in people.notes) == any(
        isinstance(i, str) and not i.isdigit() or i in (10**30, 1.5) for i in ids if i != []
    )


def test_a_person_twice_in_a_frame_is_told_apart_by_place(tmp_path):
    rows = files.in_set(np.concatenate([POINTS, POINTS + [900, 0]]), COCO)
    path = tmp_path / "a.json"
    records = [
        {"image_id": i % 6, "keypoints": row.ravel().tolist(), "idx": 4}
        for i, row in enumerate(rows)
    ]
    path.write_text(json.dumps(records))
    people = keypoints.read(path)
    assert people.person.tolist() == [-1] * 12 and "person 4 is twice" in people.notes[0]
    assert tracks.link(people.points, people.frame, people.person).tolist() == [0, 1] * 6


def test_who_has_a_number_keeps_it_beside_others():
    points = np.concatenate([[one, one + [900, 0]] for one in POINTS])
    frame = np.repeat(np.arange(6), 2)
    person = np.tile([-1, 0], 6)
    assert tracks.link(points, frame, person).tolist() == [1, 0] * 6


def test_following_all_at_once_is_as_frame_by_frame():
    # Three people who walk through each other; the twin pairs each frame with the one before.
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


def numbers_of(line):
    """The total of a summary's line, and its parts."""
    total, _, rest = line.partition(": ")[2].partition(" = ")
    without_firsts = re.sub(r" \(first: .*?\)(?= \+|$)", "", rest)
    return int(total), [int(part.split()[0]) for part in without_firsts.split(" + ")]


def test_one_bad_file_among_a_thousand(tmp_path, capsys):
    folder = files.openpose(tmp_path / "frames", [POINTS[i % 6] for i in range(1000)])
    bad = sorted(folder.iterdir())
    bad[500].write_text('{"people": [{"pose_keypoints_2d": [1, 2')
    bad[700].write_text('{"people": [{"pose_keypoints_2d": [1, 2, 3]}, 7]}')
    bad[800].unlink()
    out = tmp_path / "o.npz"
    arguments = [str(folder), "--out", str(out), "--elevation", "10", "--no-deviation"]
    assert tool.main(arguments) == 3
    lines = capsys.readouterr().out.splitlines()[1:4]
    for line in lines:
        total, parts = numbers_of(line)
        assert total == sum(parts), line
    assert lines[0].startswith("people: 999 = 997 lifted + 1 left out: ")
    assert lines[1].startswith(
        "frames: 1000 = 997 with people lifted + 1 without + 1 that the input does not have + 1 "
        "left out: could not be read (first: clip_000000000500_keypoints.json: expected JSON"
    )
    assert lifted.read(out).frame.tolist() == [i for i in range(1000) if i not in (500, 700, 800)]


def test_a_sum_that_does_not_add_up_is_a_mistake():
    left = [LeftOut(PEOPLE, 2, "small", "here"), LeftOut(PEOPLE, 1, "small", "there")]
    line = summary(PEOPLE, 10, {"lifted": 7}, [*left, LeftOut(FRAMES, 5, "torn")])
    assert line == "people: 10 = 7 lifted + 3 left out: small (first: here)"
    with pytest.raises(ValueError, match="not the sum"):
        summary(PEOPLE, 11, {"lifted": 7}, left)


@pytest.mark.parametrize("value", [-1, 0])
def test_markers_of_missing_landmarks(tmp_path, value):
    rows = POINTS.copy()
    rows[:, 3] = value
    path = files.arrays(tmp_path / "a.npz", rows)
    confidence = keypoints.read(path).confidence
    assert not confidence[:, 3].any() and confidence[:, [i for i in range(17) if i != 3]].all()


def test_zero_is_a_place_where_coordinates_are_negative(tmp_path):
    # Points relative to the hip: the hip itself is there.
    path = files.arrays(tmp_path / "a.npz", POINTS - POINTS[:, :1])
    assert keypoints.read(path).confidence.all()


def damaged(rows):
    """Records with pieces missing, doubled, of other types, infinite, huge."""
    good = [row.ravel().tolist() for row in rows]
    return [
        ({"image_id": 0, "keypoints": good[0][:-1]}, "50 numbers, unlike the others"),
        ({"image_id": 0, "keypoints": good[0] * 2}, "102 numbers, unlike the others"),
        ({"image_id": 0, "keypoints": ["a"] * 51}, "not numbers"),
        ({"image_id": 0, "keypoints": {"nose": 1}}, "not numbers"),
        ({"image_id": 0, "keypoints": [1e400] * 51}, "infinite"),
        ({"image_id": 0, "keypoints": [10**400] * 51}, "not numbers"),
        ({"image_id": 0, "keypoints": []}, "without landmarks"),
        ({"image_id": 0}, "without landmarks"),
        ({"keypoints": good[0]}, "does not say its image"),
        ({"image_id": {"a": 1}, "keypoints": good[0]}, "does not say its image"),
        (7, "not an object"),
        (None, "not an object"),
    ]


@pytest.mark.parametrize("index", range(12))
def test_one_damaged_record_leaves_the_others(tmp_path, index):
    rows = files.in_set(np.tile(POINTS, (4, 1, 1)), COCO)
    record, why = damaged(rows)[index]
    path = results(tmp_path / "a.json", rows)
    path.write_text(json.dumps([*json.loads(path.read_text()), record]))
    people = keypoints.read(path)
    assert len(people.frame) == 24 and why in str(people.left[0])
    assert sum(part.count for part in people.left) == 1


def test_several_videos_in_one_archive_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    points = files.in_set(POINTS, COCO)[..., :2]
    np.savez(path, positions_2d={"a.mp4": {"custom": [points]}, "b.mp4": {"custom": [points]}})
    with pytest.raises(KeypointError, match="expected one video of one camera, got 2: a.mp4"):
        keypoints.read(path)


def test_an_archive_that_would_run_something_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return print, ("run",)

    path = videopose3d(tmp_path / "a.npz", POINTS)
    np.savez(path, positions_2d=np.array({"a": Harmful()}, dtype=object))
    with pytest.raises(KeypointError, match="positions_2d: expected arrays, got .*print"):
        keypoints.read(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"shapes": [{"label": "person", "points": [1, 2]}]}, "shapes: a list of an object"),
        ({"version": "4", "data": {"a": 1}}, "version: text, data: an object with a"),
        ([[1, 2], [3, 4]], "a list of a list"),
    ],
)
def test_an_unknown_file_is_described(tmp_path, content, expected):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert expected in str(caught.value) and "expected 2D landmarks, as" in str(caught.value)


def test_an_unknown_archive_is_described(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, poses=np.zeros((5, 24, 3)), gender="f")
    with pytest.raises(KeypointError, match="poses: float64 5 x 24 x 3, gender"):
        keypoints.read(path)


def test_a_number_of_landmarks_that_one_set_has_is_that_set(tmp_path):
    people = keypoints.read(results(tmp_path / "a.json", files.in_set(POINTS, MPII)))
    assert people.set_name == MPII.name
