"""CSV as pandas and spreadsheets write it: columns that are doubled, unnamed, or of several videos,
and times of a clock."""

import csv
from datetime import UTC, datetime

import numpy as np
import pytest

from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools.lift import keypoints
from tools.lift.people import KeypointError

POINTS = files.image_points(files.walk(6))
FLAT = POINTS.reshape(6, -1).tolist()
NAMES = [f"{name} {axis}" for name in LANDMARKS for axis in "xy"]


def read(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return keypoints.read(path)


@pytest.mark.parametrize("suffix", ["", ".1", ".12"])
def test_a_second_person_beside_the_first_is_not_dropped(tmp_path, suffix):
    header = ["frame", *NAMES, *(name + suffix for name in NAMES)]
    with pytest.raises(KeypointError, match="each column once, got 'hip x' twice"):
        read(tmp_path / "a.csv", header, [[i, *row, *row] for i, row in enumerate(FLAT)])


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_an_index_is_the_frame_where_no_other_column_is(tmp_path, name):
    rows = [[2 * i, 3 * i, *row] for i, row in enumerate(FLAT)]
    people = read(tmp_path / "a.csv", [name, "frame", *NAMES], rows)
    assert people.frame.tolist() == [0, 3, 6, 9, 12, 15]
    people = read(tmp_path / "a.csv", [name, "mean", *NAMES], rows)
    assert people.frame.tolist() == [0, 2, 4, 6, 8, 10] and len(people.frames) == 11


@pytest.mark.parametrize("name", ["video", "Camera", "cam_id", "clip_name"])
def test_rows_of_several_videos_are_refused(tmp_path, name):
    rows = [["ab"[i // 3], i, *row] for i, row in enumerate(FLAT)]
    with pytest.raises(KeypointError, match=f"got 2 in the column '{name}': a, b; split the file"):
        read(tmp_path / "a.csv", [name, "frame", *NAMES], rows)
    assert len(read(tmp_path / "a.csv", [name, "frame", *NAMES], rows[:3]).frame) == 3


@pytest.mark.parametrize(
    "form", ["{}", "00:01:{:06.3f}", "2024-05-01T12:30:{:06.3f}Z", "1:00:{:05.2f}"]
)
def test_times_of_a_clock(tmp_path, form):
    there = [0, 1, 2, 5, 6, 7]
    times = [form.format(i / 25) for i in there]
    rows = [[i, time, *row] for i, time, row in zip(there, times, FLAT, strict=True)]
    for header, skip in (("frame", 0), ("", 1)):
        people = read(tmp_path / "a.csv", [header, "time", *NAMES][skip:], [r[skip:] for r in rows])
        assert people.rate == 25 and people.frame.tolist() == there
        np.testing.assert_array_equal(people.points, POINTS)


def test_z_is_left_out_and_said(tmp_path):
    deep = np.concatenate([POINTS, POINTS[..., :1]], axis=2).reshape(6, -1).tolist()
    header = [f"{name}_{axis}" for name in LANDMARKS for axis in "xyz"]
    people = read(tmp_path / "a.csv", header, deep)
    np.testing.assert_array_equal(people.points, POINTS)
    assert "z of the landmarks is left out" in people.notes[0]


@pytest.mark.parametrize("zone", ["", "Z", "+00:00", "-05:00"])
@pytest.mark.parametrize("dot", [" ", "T"])
def test_dates_with_times_across_midnight(tmp_path, dot, zone):
    there = [0, 1, 2, 5, 6, 7]
    times = [1714607999 + 0.85 + i / 25 for i in there]  # 2024-05-01 23:59:59.85
    texts = [
        datetime.fromtimestamp(time, UTC).strftime(f"%Y-%m-%d{dot}%H:%M:%S.%f") + zone
        for time in times
    ]
    assert texts[0].startswith("2024-05-01") and texts[-1].startswith("2024-05-02")
    rows = [[text, *row] for text, row in zip(texts, FLAT, strict=True)]
    people = read(tmp_path / "a.csv", ["timestamp", *NAMES], rows)
    assert people.rate == 25 and people.frame.tolist() == there and not people.doubts
    np.testing.assert_array_equal(people.points, POINTS)


def test_deeplabcut_s_poses_in_3d_are_refused(tmp_path):
    header = ["scorer", *["a"] * 51]
    parts = ["bodyparts", *(name for name in LANDMARKS for _ in "xyz")]
    coords = ["coords", *["x", "y", "z"] * 17]
    deep = np.concatenate([POINTS, POINTS[..., :1]], axis=2).reshape(6, -1).tolist()
    rows = [parts, coords, *([i, *row] for i, row in enumerate(deep))]
    with pytest.raises(KeypointError, match="as coords, got z; poses in 3D"):
        read(tmp_path / "a.csv", header, rows)
