"""Which frame is which: numbers in names and fields, times, and gaps that stay gaps."""

import json
import tracemalloc

import numpy as np
import pytest

from prior.errors import InputError
from prior.landmark_sets import BODY_25
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import frames, keypoints, lifted, times
from tools.lift.people import How

POINTS = files.image_points(files.walk(6))


def numbers(keys, **more):
    line = frames.time_line(keys, **more)
    return line.number.tolist(), line.first, len(line.names)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([0, 1, 2], ([0, 1, 2], 0, 3)),
        ([7, 8, 12], ([7, 8, 12], 7, 6)),
        ([12, 8, 7], ([12, 8, 7], 7, 6)),
        ([3.0, 5.0], ([3, 5], 3, 3)),
        (["0", "1", "15"], ([0, 1, 15], 0, 16)),
        (["0.jpg", "2.jpg"], ([0, 2], 0, 3)),
        (["a/frame_000009.png", "a/frame_000012.png"], ([9, 12], 9, 4)),
        # The number that differs counts, wherever it is.
        (["take2_0001_rendered", "take2_0004_rendered"], ([1, 4], 1, 4)),
        (["cam1-5-x3", "cam1-6-x3"], ([5, 6], 5, 2)),
        # A video analysed at every fifth frame.
        (list(range(0, 500, 5)), (list(range(0, 500, 5)), 0, 496)),
        # No number, or several of which none goes up: in the order of the names.
        (["dog.jpg", "cat.jpg"], ([1, 0], 0, 2)),
        (["a1_b1", "a1_b2", "a2_b1"], ([0, 1, 2], 0, 3)),
        (["20240101_235959", "20240102_000001", "20240102_000002"], ([0, 1, 2], 0, 3)),
        # A count and a time in milliseconds; the take and the frame.
        (["f3_t00100", "f4_t00133", "f6_t00200"], ([3, 4, 6], 3, 4)),
        (["take1_7", "take1_8", "take2_10"], ([7, 8, 10], 7, 4)),
        (["img2", "img10", "img1x"], ([1, 2, 0], 0, 3)),
        # The ids of photos are no time line.
        ([397133, 37777, 252219, 87038], ([3, 0, 2, 1], 0, 4)),
        (["000000397133.jpg", "000000037777.jpg", "000000252219.jpg"], ([2, 0, 1], 0, 3)),
        ([0, 10**15], ([0, 1], 0, 2)),
    ],
)
def test_numbers_of_frames(keys, expected):
    assert numbers(keys) == expected


def test_names_of_gaps_have_the_form_of_the_others():
    assert frames.time_line(["f_08.png", "f_11.png"]).names == tuple(
        f"f_{n:02d}.png" for n in (8, 9, 10, 11)
    )
    assert frames.time_line([4, 6]).names == ("4", "5", "6")


@pytest.mark.parametrize(
    "names",
    [
        [f"cam{c}_{i:06d}" for c in (1, 2) for i in range(9)],
        [f"{side}/{i}.jpg" for i in range(9) for side in ("left", "right")],
        [f"video_a_{i:03d}" for i in range(9)] + [f"video_b_{i:03d}" for i in range(50, 59)],
    ],
)
def test_several_sequences_are_said(names):
    line = frames.time_line(names)
    assert "frames of 2 sequences" in line.doubts[0] and len(line.names) == len(names)
    assert names[0] in line.doubts[0]
    # One alone is a time line, and what has no sequences is not one.
    assert not frames.time_line(names[:1]).doubts
    assert not frames.time_line([f"{name}_{i}" for i, name in enumerate("abcdef")]).doubts
    assert not frames.time_line(["dog", "cat", "cow"]).doubts


def test_ids_that_only_order_are_said():
    (note,) = frames.time_line([397133, 37777, 252219, 87038]).notes
    assert "37777 to 397133 of 4 frames" in note


def test_one_name_of_another_form_does_not_end_the_time_line():
    line = frames.time_line([*(f"clip_{n:04d}" for n in range(5, 25)), "cover"])
    assert line.number.tolist() == [*range(5, 25), 25] and line.names[-1] == "cover"
    assert "1 frames have no number" in line.notes[0]


@pytest.mark.parametrize(
    ("start", "tick", "unit"),
    [
        (1.7e9, 1 / 30, None),  # the seconds of a clock, and so on
        (1_700_000_000_000, 1000 / 30, None),
        (1_700_000_000_000_000, 1e6 / 30, None),
        (1_700_000_000_000_000_000, 10**9 / 30, None),
        (0.0, 1 / 30, None),
        (12.4, 1 / 30, "s"),
        (0, 1000 / 30, ""),  # a column of times, whose unit the steps tell
        (0, 1e6 / 30, ""),
        (0, 1000 / 30, "ms"),
    ],
)
def test_times_become_frames(start, tick, unit):
    # Frames 3 and 4 are missing, and times jitter by a tenth of a frame.
    random = np.random.default_rng(0)
    frame = np.array([0, 1, 2, 5, 6, 7, 8])
    ticks = (frame + random.uniform(-0.05, 0.05, len(frame))) * tick
    ticks[0] = 0
    whole = isinstance(start, int)
    keys = [start + (round(t) if whole else float(t)) for t in ticks]
    line = frames.time_line(keys, unit=unit)
    assert line.number.tolist() == frame.tolist()
    assert abs(line.rate - 30) < 2


def test_times_and_a_rate():
    times = [k / 30 for k in range(6)]
    assert frames.time_line(times, rate=60).number.tolist() == [0, 2, 4, 6, 8, 10]
    with pytest.raises(InputError, match="its times say 30 frames a second, --rate 1"):
        frames.time_line(times, rate=1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([0.0, 1e-9, 3e-9], "expected times of frames, in seconds, got steps of"),
        ([0.0, 1 / 30, 2 / 30, 1e9], "expected the times of one video, got 4 frames in 1e+09 s"),
        ([0.5, 1e-7, 1e18], "expected"),
    ],
)
def test_times_that_cannot_be(keys, message):
    with pytest.raises(InputError) as caught:
        frames.time_line(keys)
    assert message in str(caught.value)


def test_unknown_units_are_asked_for():
    with pytest.raises(InputError, match=r"name the unit in the column, such as time_s"):
        frames.time_line([0, 1, 2], unit="")


@pytest.mark.parametrize("number", [10**6, 1_700_000_000_000, 10**17, 10**30])
def test_memory_is_by_the_rows(tmp_path, number):
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"points": POINTS.tolist(), "frame": [0, 1, 2, 3, 4, number]}))
    tracemalloc.start()
    assert keypoints.read(path).frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


@pytest.mark.slow
def test_what_is_written_is_by_the_rows_too(tmp_path):
    (tmp_path / "t.json").write_text(
        json.dumps({"points": POINTS.tolist(), "frame": [0, 1, 2, 3, 4, 10**9]})
    )
    outs = [tmp_path / name for name in ("a.bvh", "a.html", "a.trc", "a.npz")]
    words = [tmp_path / "t.json", "--no-deviation", "--out", *outs]
    assert tool.main([str(word) for word in words]) in (0, 3)
    assert len(lifted.read(outs[-1]).meta["frames"]) == 6
    assert max(out.stat().st_size for out in outs) < 1e6


def table(path, columns, rows):
    """CSV of POINTS with more columns before and after them."""
    from prior.skeleton import LANDMARKS

    header = [*columns, *(f"{name} {axis}" for name in LANDMARKS for axis in "xy")]
    lines = [",".join(header)]
    for row, points in zip(rows, POINTS, strict=False):
        lines.append(",".join([*map(str, row), *(f"{v:.12g}" for v in points.ravel())]))
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    "name",
    ["frame", "Frame", "FRAME_ID", "frame_idx", "image", "frame number", "frameNo", "frame_num"],
)
def test_csv_says_the_frame_by_many_names(tmp_path, name):
    people = keypoints.read(table(tmp_path / "t.csv", [name], [[n] for n in (4, 5, 6, 9, 10, 11)]))
    assert people.frame.tolist() == [4, 5, 6, 9, 10, 11] and people.first == 4
    assert len(people.frames) == 8 and people.listed == 6


@pytest.mark.parametrize(
    ("name", "scale"),
    [("time", 1), ("Time (s)", 1), ("timestamp", 1000), ("time_ms", 1000), ("timestamp_us", 1e6)],
)
def test_csv_has_times(tmp_path, name, scale):
    rows = [[round(n * scale / 25, 6)] for n in (0, 1, 2, 5, 6, 7)]
    people = keypoints.read(table(tmp_path / "t.csv", [name], rows))
    assert people.frame.tolist() == [0, 1, 2, 5, 6, 7] and people.rate == 25


def test_frame_and_time_together_say_the_rate(tmp_path):
    rows = [[n, n / 50] for n in (10, 11, 14, 15, 16, 17)]
    people = keypoints.read(table(tmp_path / "t.csv", ["frame", "time"], rows))
    assert people.frame.tolist() == [10, 11, 14, 15, 16, 17] and people.rate == 50
    assert keypoints.read(tmp_path / "t.csv", How(rate=24.0)).rate == 24


def test_a_row_without_a_frame_is_left_out(tmp_path):
    people = keypoints.read(table(tmp_path / "t.csv", ["frame"], [[0], [1], [""], [3], [4], [5]]))
    assert people.frame.tolist() == [0, 1, 3, 4, 5]
    assert [str(part) for part in people.left] == ["1 people: no frame (first: line 4)"]


def test_what_comes_out_keeps_the_numbers(tmp_path):
    folder = files.openpose(tmp_path / "frames", POINTS)
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"clip_{1000 + i + 4 * (i > 2):012d}_keypoints.json")
    outs = [tmp_path / f"out.{kind}" for kind in ("json", "bvh", "csv")]
    arguments = [folder, "--out", *outs, "--elevation", 10, "--no-deviation", "--rate", 25]
    assert tool.main([str(a) for a in arguments]) == 0
    poses = lifted.read(outs[0])
    assert poses.frame.tolist() == [1000, 1001, 1002, 1007, 1008, 1009]
    assert poses.meta["first_frame"] == 1000 and len(poses.meta["frames"]) == 10
    assert poses.frame_name(1005) == "clip_000000001005"
    # A motion begins with the input's first frame, and has the gap's four.
    assert "Frames: 10\n" in outs[1].read_text()
    rows = [line.split(",")[:2] for line in outs[2].read_text().splitlines()[1:]]
    assert rows[3] == ["1007", "clip_000000001007"]


def test_times_in_milliseconds_and_times_of_which_most_are_missing():
    """The rate is the camera's, and no frame is made up or moved."""
    for rate in (30, 60, 29.97):
        line = frames.time_line([round(1000 * i / rate) for i in range(2000)], "ms")
        assert line.rate == pytest.approx(rate, abs=0.01), rate
        assert line.number.tolist() == list(range(2000))
    there = [0, 1, 2, 6, 8, 10, 14, 16]
    line = frames.time_line([i / 25 for i in there], "s")
    assert line.rate == 25 and line.number.tolist() == there
    random = np.random.default_rng(0)
    there = np.flatnonzero(random.random(3000) < 0.4)
    line = frames.time_line(
        [
            round(i / 30 + j, 4)
            for i, j in zip(there - there[0], random.uniform(-2e-3, 2e-3, len(there)), strict=True)
        ],
        "s",
    )
    assert line.rate == pytest.approx(30, abs=2e-3)
    assert line.number.tolist() == (there - there[0]).tolist()


@pytest.mark.parametrize(
    ("key", "value", "rate"),
    [
        ("Frame", lambda i: i, None),
        ("frameNumber", lambda i: i, None),
        ("timestamp_ms", lambda i: 40 * i, 25),
        ("time", lambda i: i / 25, 25),
        ("timestamp", lambda i: 1.7e9 + i / 25, 25),
        ("Time", lambda i: f"00:01:{i / 25:06.3f}", 25),
    ],
)
@pytest.mark.parametrize("form", ["people", "frames"])
def test_records_say_their_frame_or_time_by_many_names(tmp_path, key, value, rate, form):
    points, there = files.image_points(files.walk(6)), [0, 1, 2, 5, 6, 7]
    flat = files.in_set(points, BODY_25).reshape(6, -1).tolist()
    records = [
        {key: value(i), "keypoints": row}
        if form == "people"
        else {key: value(i), "people": [{"pose_keypoints_2d": row}]}
        for i, row in zip(there, flat, strict=True)
    ]
    (tmp_path / "a.json").write_text(json.dumps(records))
    people = keypoints.read(tmp_path / "a.json", How(BODY_25))
    assert people.frame.tolist() == there and people.rate == rate and len(people.frames) == 8


def test_frames_of_which_some_have_no_number_are_said(tmp_path):
    flat = files.in_set(files.image_points(files.walk(3)), BODY_25).reshape(3, -1).tolist()
    records = [
        {"frame": 7 * i, "people": [{"pose_keypoints_2d": row}]} for i, row in enumerate(flat)
    ]
    del records[1]["frame"]
    (tmp_path / "a.json").write_text(json.dumps(records))
    people = keypoints.read(tmp_path / "a.json")
    assert people.frame.tolist() == [0, 1, 2] and "counted from 0" in people.notes[0]


@pytest.mark.parametrize("rate", [24000 / 1001, 30000 / 1001, 12.3456])
def test_long_videos_of_uneven_rates_have_no_gap(rate):
    line = frames.time_line([i / rate for i in range(9000)], "s")
    assert line.number.tolist() == list(range(9000)) and line.rate == round(rate, 3)
    assert not line.doubts


def test_times_in_no_order_are_said():
    """Of a detector's durations; several people one after another are in order."""
    durations = np.random.default_rng(0).uniform(0.02, 0.04, 50).round(5)
    (doubt,) = frames.time_line(durations.tolist(), "s").doubts
    assert "may be how long something took" in doubt
    ticks = np.arange(50) / 25
    one_by_one = dict.fromkeys([*ticks[5:30].tolist(), *ticks[20:].tolist(), *ticks[:9].tolist()])
    assert not frames.time_line(list(one_by_one), "s", people=3).doubts
    assert frames.time_line(list(one_by_one), "s", people=1).doubts


@pytest.mark.parametrize(
    ("rate", "digits", "unit"), [(30, 3, "s"), (60, 3, None), (30000 / 1001, 3, "s"), (30, 1, "s")]
)
def test_the_rate_of_rounded_times(rate, digits, unit):
    number = np.arange(600)
    ticks = (number / rate).round(digits)
    assert times.rate_of(number, ticks, unit) == pytest.approx(
        rate, rel=6e-4 if digits > 1 else 0.01
    )
    # In any order, and several people have the same frames.
    order = np.random.default_rng(0).permutation(1200) % 600
    assert times.rate_of(number[order], ticks[order], unit) == times.rate_of(number, ticks, unit)
    assert times.rate_of(number[:1], ticks[:1], unit) is None


@pytest.mark.parametrize("text", ["01:30.54", "half past one", "1e400"])
def test_what_is_no_time_is_no_name(tmp_path, text):
    rows = [[f"00:0{n}.5"] for n in range(5)] + [[text]]
    with pytest.raises(InputError, match="expected times as numbers, or as 12:30:05.2, got"):
        keypoints.read(table(tmp_path / "t.csv", ["time"], rows))
    with pytest.raises(InputError, match=f"got {text}"):
        frames.time_line([text, "0.5"], "s")
    # Numbers as text are times.
    assert frames.time_line(["0", "0.04", "0.12"], "s").number.tolist() == [0, 1, 3]


def test_durations_that_seldom_go_back_are_said():
    """Of four people the times go back three times; of one they never do."""
    ticks = (0.5 * np.arange(40)).tolist()
    ticks[20], ticks[21] = ticks[21], ticks[20]
    (doubt,) = times.numbered(ticks, "s").doubts
    assert "the times of 1 of 40 frames are before" in doubt
    assert not times.numbered(ticks, "s", people=2).doubts


def test_uneven_times_are_said():
    random = np.random.default_rng(0)
    durations = np.sort(random.uniform(0.02, 0.04, 60))
    assert "uneven" in times.numbered(durations.tolist(), "s").notes[1]
    jitter = np.arange(60) / 25 + random.uniform(-0.002, 0.002, 60)
    assert len(times.numbered(jitter.tolist(), "s").notes) == 1


def test_clocks_that_pass_midnight():
    there = [0, 1, 2, 5, 6, 7]
    clock = [(23 * 3600 + 59 * 60 + 59.9 + n / 25) % 86400 for n in there]
    keys = [f"{int(t // 3600):02d}:{int(t % 3600 // 60):02d}:{t % 60:06.3f}" for t in clock]
    assert keys[0].startswith("23") and keys[-1].startswith("00")
    for unit in (None, "", "s"):
        line = frames.time_line(keys, unit)
        assert line.number.tolist() == there and line.rate == 25 and not line.doubts
    # What begins after midnight is as it was.
    assert frames.time_line(["00:00:00.00", "00:00:00.04"]).number.tolist() == [0, 1]


def test_clocks_of_whole_seconds_are_in_seconds():
    """Steps of ten would pass for milliseconds."""
    line = frames.time_line([f"12:30:{s:02d}" for s in (0, 10, 20, 40)], "")
    assert line.number.tolist() == [0, 1, 2, 4] and line.rate == 0.1


def test_names_of_thousands_of_digits_are_no_numbers():
    line = frames.time_line(["a" + "9" * 5000, "a1", "a2"])
    assert sorted(line.number.tolist()) == [0, 1, 2]
