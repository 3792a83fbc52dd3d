"""What the values of a file may be: confidences, depths, decimal commas, turned images, sizes."""

import json

import numpy as np
import pytest

from prior.landmark_sets import COCO, HUMAN36M
from tests import landmark_files as files
from tools.lift import keypoints
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(12))
ROWS = files.in_set(POINTS, COCO)
THERE = ROWS[..., 2:] > 0


def _read(tmp_path, rows, **how):
    return keypoints.read(files.results(tmp_path / "r.json", rows), How(**how))


def test_percentages_are_confidences_of_a_hundredth(tmp_path):
    percent = np.linspace(1, 95, 12)[:, None]
    rows = np.concatenate([ROWS[..., :2], np.where(THERE, percent[..., None], 0)], axis=2)
    people = _read(tmp_path, rows)
    np.testing.assert_allclose(people.confidence.max(axis=1), percent[:, 0] / 100)


def test_confidences_up_to_ten_are_no_percentages(tmp_path):
    rows = np.concatenate([ROWS[..., :2], np.where(THERE, 7.5, 0)], axis=2)
    assert set(np.unique(_read(tmp_path, rows).confidence)) == {0, 1}


def test_depths_are_no_confidences(tmp_path):
    depth = np.random.default_rng(0).uniform(-0.5, 0.5, ROWS.shape[:2])[..., None]
    with pytest.raises(KeypointError, match="poses in 3D") as error:
        _read(tmp_path, np.concatenate([ROWS[..., :2], depth], axis=2))
    assert "\n" not in str(error.value)


def test_a_confidence_of_minus_one_is_missing(tmp_path):
    rows = ROWS.copy()
    rows[:, 5:, 2] = -1
    assert (_read(tmp_path, rows).confidence > 0).sum() == 12  # the nose


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas(tmp_path, delimiter):
    def write(comma):
        header = ["frame", *(f"{name} {axis}" for name in COCO.names for axis in ("x", "y", "c"))]
        cells = [[str(v).replace(".", comma) for v in row] for row in ROWS.reshape(12, -1).tolist()]
        lines = [delimiter.join([str(i), *row]) for i, row in enumerate(cells)]
        path = tmp_path / f"{ord(comma)}.csv"
        path.write_text("\n".join([delimiter.join(header), *lines]), encoding="utf-8-sig")
        return keypoints.read(path)

    people, same = write(","), write(".")
    np.testing.assert_array_equal(people.points, same.points)
    np.testing.assert_array_equal(people.frame, range(12))


def test_commas_that_may_part_thousands_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    cells = ",".join(f'"1,{i:03d}"' for i in range(34))
    path.write_text(",".join(f"{n} {a}" for n in COCO.names for a in "xy") + f"\n{cells}\n")
    with pytest.raises(KeypointError, match="not a row of numbers"):
        keypoints.read(path)


@pytest.mark.parametrize(
    "turn, words",
    [
        (lambda xy: xy * [1, -1] + [0, 480], "upside down"),
        (lambda xy: [640, 480] - xy, "upside down"),
        (lambda xy: xy[..., ::-1], "lie"),
        (lambda xy: xy, None),
    ],
    ids=["y up", "turned", "x and y exchanged", "as it is"],
)
def test_turned_people_are_said(tmp_path, turn, words):
    rows = np.concatenate([np.where(THERE, turn(ROWS[..., :2]), 0), ROWS[..., 2:]], axis=2)
    doubts = _read(tmp_path, rows).doubts
    assert words in doubts[0] if words else not doubts


def test_a_few_turned_people_are_believed(tmp_path):
    rows = ROWS.copy()
    rows[:5, :, :2] = np.where(THERE[:5], [640, 480] - ROWS[:5, :, :2], 0)
    assert not _read(tmp_path, rows).doubts


def test_normalised_coordinates_have_each_image_size(tmp_path):
    sizes = np.array([[640, 480] if i % 2 else [1280, 960] for i in range(12)])
    images = [{"id": i, "file_name": f"{i}.jpg"} | _size(sizes[i]) for i in range(12)]
    scaled = np.where(THERE, ROWS[..., :2] / [640, 480], 0)
    annotations = [
        {"image_id": i, "keypoints": np.concatenate([row, ROWS[i, :, 2:]], axis=1).ravel().tolist()}
        for i, row in enumerate(scaled)
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    expected = POINTS * (sizes / [640, 480])[:, None]
    people = keypoints.read(path)
    known = people.confidence > 0
    np.testing.assert_allclose(people.points[known], expected[known])


def _size(size):
    return {"width": int(size[0]), "height": int(size[1])}


def test_times_in_two_units_are_refused(tmp_path):
    path = files.table(tmp_path / "a.csv", POINTS)
    header, *lines = path.read_text().splitlines()
    for later in (1, 1000):
        times = [i / 30 * (1 if i < 6 else later) for i in range(12)]
        rows = [f"{t},{line.split(',', 1)[1]}" for t, line in zip(times, lines, strict=True)]
        path.write_text("\n".join([header.replace("frame", "time", 1), *rows]))
        if later == 1:
            assert keypoints.read(path).rate == 30
        else:
            with pytest.raises(KeypointError, match="one unit"):
                keypoints.read(path)


@pytest.mark.parametrize("width", [2, 3])
def test_an_array_alone_is_a_pose_for_each_frame(tmp_path, width):
    rows = np.concatenate([POINTS, np.full((*POINTS.shape[:2], 1), 0.5)], axis=2)[..., :width]
    np.save(tmp_path / "a.npy", rows)
    people = keypoints.read(tmp_path / "a.npy")
    np.testing.assert_array_equal(people.points, POINTS)
    assert people.confidence.max() == (1 if width == 2 else 0.5) and len(people.frames) == 12
    np.save(tmp_path / "b.npy", rows[0].astype("f4"))
    assert keypoints.read(tmp_path / "b.npy").frame.tolist() == [0]


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (POINTS[None], "got an array 1 x 12 x 17 x 2; expected poses, frames x landmarks x 2"),
        (POINTS.transpose(0, 2, 1), "got an array 12 x 2 x 17"),
        (POINTS.reshape(12, 34), "got an array 12 x 34"),
        (POINTS[0, :3], "got an array 3 x 2"),
        (np.array(3.0), "got an array scalar"),
        (np.concatenate([POINTS, POINTS[..., :1]], axis=2), "poses in 3D"),
        (np.array({"a": 1}, dtype=object), "expected an array of numbers or text"),
    ],
)
def test_an_array_whose_axes_are_not_certain_is_refused(tmp_path, array, why):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(KeypointError, match=why):
        keypoints.read(tmp_path / "a.npy")


def test_a_depth_beside_a_score_is_refused(tmp_path):
    deep = np.concatenate([POINTS, np.full_like(POINTS[..., :1], 0.7)], axis=2)
    instances = [
        {"frame_id": i, "instances": [{"keypoints": p.tolist(), "keypoint_scores": [0.9] * 17}]}
        for i, p in enumerate(deep)
    ]
    (tmp_path / "a.json").write_text(json.dumps({"instance_info": instances}))
    with pytest.raises(KeypointError, match="beside its score, got 3 values; poses in 3D"):
        keypoints.read(tmp_path / "a.json", How(HUMAN36M))
    # The same score twice is no depth.
    for frame in instances:
        frame["instances"][0]["keypoint_scores"] = [0.7] * 17
    (tmp_path / "a.json").write_text(json.dumps({"instance_info": instances}))
    people = keypoints.read(tmp_path / "a.json", How(HUMAN36M))
    np.testing.assert_array_equal(people.points, POINTS)
    assert (people.confidence == 0.7).all()
