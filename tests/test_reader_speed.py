"""The measuring of the readers, on two frames: every format has its row."""

import json

import pytest

from tests import reader_speed
from tests.landmark_formats import FORMATS, SINGLE


@pytest.mark.slow
def test_every_format_has_a_row(tmp_path, capsys):
    out = tmp_path / "readers.json"
    assert reader_speed.main(["--frames", "2", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["formats"]
    assert [row["format"] for row in rows] == list(FORMATS)
    for row in rows:
        assert row["people"] == (1 if row["format"] in SINGLE else reader_speed.PEOPLE)
        assert row["whole_s"] >= row["read_s"] > 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in FORMATS)


def test_no_frames_are_one_line(tmp_path, capsys):
    assert reader_speed.main(["--frames", "0", "--out", str(tmp_path / "a.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
