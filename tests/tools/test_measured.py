"""tools/measured.py: where a figure is from."""

import json
import re
import shlex
import sys

import pytest

from tools import measured


def test_stamp_says_what_ran_when_and_where(monkeypatch):
    root = str(measured.ROOT)
    monkeypatch.setattr(
        sys, "orig_argv", [f"{root}/build/venv/bin/python", "-m", "tools.x", f"{root}/build/a b"]
    )
    stamp = measured.stamp()
    assert shlex.split(stamp["command"]) == ["python", "-m", "tools.x", "build/a b"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", stamp["date"])
    assert stamp["commit"] is None or re.fullmatch(r"[0-9a-f]{10}\+?", stamp["commit"])
    assert stamp["machine"] and stamp["cores"] >= 1


@pytest.mark.parametrize(
    ("argument", "portable"),
    [
        ("--poses", "--poses"),
        ("build/data/test.json", "build/data/test.json"),
        ("/somewhere/else/clips.npz", "clips.npz"),
        ("--mocap=/somewhere/else/clips.npz", "--mocap=clips.npz"),
        ("../elsewhere/clips.npz", "clips.npz"),
        ("mine=~/landmarks.npz", "mine=landmarks.npz"),
        ("K=3", "K=3"),
        (f"{measured.ROOT}/build/prior.npz", "build/prior.npz"),
    ],
)
def test_a_command_names_no_folder_of_the_machine(argument, portable):
    assert measured.portable(argument) == portable


def test_a_record_is_written_with_its_stamp_and_printed_as_text(tmp_path, capsys):
    out = tmp_path / "bench" / "speed.json"
    measured.publish(out, {"rate": 2.5}, "| rate |")
    record = json.loads(out.read_text())
    assert record.pop("measured").keys() == measured.stamp().keys() and record == {"rate": 2.5}
    assert capsys.readouterr().out == f"| rate |\n\nwrote {out}\n"
