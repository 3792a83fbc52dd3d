"""The lines that account for people, frames and landmarks add up."""

import re

import pytest

from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import lifted
from tools.lift.counting import FRAMES, PEOPLE, LeftOut, summary

POINTS = files.image_points(files.walk(6))


def numbers_of(line):
    """The total of a summary's line, and its parts."""
    total, _, rest = line.partition(": ")[2].partition(" = ")
    without_firsts = re.sub(r" \(first: .*?\)(?= \+|$)", "", rest)
    return int(total), [int(part.split()[0]) for part in without_firsts.split(" + ")]


@pytest.mark.slow
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
