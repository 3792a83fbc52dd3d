"""RESULTS.md and its records."""

import copy
import json
import re

import pytest

from prior.errors import InputError
from tests.tools.report.records import RECORDS
from tools.report import results

# Of each kind, rows as they must be printed, spaces apart.
ROWS = {
    "demo": [
        "| 3D error, Procrustes | 75.0 mm | 50.0 mm | | | a similarity fitted to each pose, "
        "17 landmarks |",
        "| punch | 11.0 | 11.0 | 150.0 | 100.0 |",
        "| data | 2.5 | 300 |",
    ],
    "feed": ["| 1 | 80 | 100 | 80 % | 12.5 | 10.0 |"],
    "evaluation": ["| one scale | 8 | 1 | 30.0 | 1.50 | 40 | 0.80 |"],
    "ablations": ["| 80 | 20 | 0 | 90.5 | 45.2 | 0.5 |"],
    "lift-accuracy": [
        "| lifted, K = 3 | 50.0 | 51.0 | 52.0 | 53.0 | 54.0 |",
        "| 10 degrees, searched | 71.0 | 72.0 | 73.0 | 74.0 | 75.0 |",
        "| 0 px, noise_mm 20 | 40 % | 80 % | 30 | 40 % | 80 % | 30 | 40 |",
        "| 20 mm | 81.0 | 91.0 |",
    ],
    "lift-ways": [
        "| as published | 31.0 / 34.0 | 36.0 / 39.0 | 41.0 / 44.0 | 1,234 |",
        "| 4 degrees of freedom | 10.0 | 13.0 |",
    ],
    "tracks": ["| K = 3, frame by frame | 2.5 / 31.0 | 2.5 / 36.0 | 123 |"],
    "lift": ["| poses a second, at best | 40,000 | 20,000 |"],
    "readers": ["| openpose | 3 | 1.25 | 2.00 | 5,000 |"],
    "prior": [
        "| closed-form | 1,000,000 | 90.5 | 60.2 | 30.2 | 40 (4) | 50 (5) | 1.50 | 3.2 | 2,048 "
        "| -123.46 | |"
    ],
    "ready-prior": ["| sit | 40 | 61.5 / 51.0 | 55.0 / 44.5 |"],
    "oracle": ["MPJPE, mm, of 300 poses", "| new | 55.0 | 50.5 | 45.0 | 12.5 |"],
    "cluster": [
        "| 2 workers | 1,000,000 | 40 | 300 |",
        "The files are 200 MB. Model files the same, to the byte: True.",
        "1 passes over all poses; of a chunk of 4096 poses, on the mean: 4000.0 ms to compute on a "
        "core, 10.00 ms to merge, 2 kB back and 4 kB there.",
    ],
    "study-prior": ["| Ceres | -100.5000 | 0.2500 | 60 | 12.5 % | 7 to 2 | 9 to 3 | 12.5 |"],
    "network": [
        "| lite/lifting | 8 | 500 | 125 | 375 | 1.250 | 1.25 % (under 10 %) "
        "| 2.50 % (under 10 %) | 100 | |"
    ],
    "network-gpu": [
        "NVIDIA Abacus, caffe-gpu; medians of 3 rounds. Shares are of iterations in which the GPU "
        "is waited for after each layer.",
        "| cpm | 16 | 40.0 | | 12.5 % | 2.5 % | 160.0 | 2,048 |",
        "| lifting | 16 | 32.0 | 1.250 | 12.5 % | 2.5 % | 128.0 | 2,048 |",
    ],
    "study-network": [
        "| CPM alone | 14.00 ± 1.41 | 9.0, 8.0 | 50.0 ± 0.0 | 100 ± 0.0 | 80 ± 0.0 "
        "| 110 ± 0.0 | 0.50, 0.25 | 3.50 ± 0.71 | 0 ± 0.0 |"
    ],
}


def record_file(folder, record):
    path = folder / "measured.json"
    path.write_text(json.dumps(record))
    return path


def test_the_page_is_what_the_command_writes_of_the_records():
    text = results.PAGE.read_text(encoding="utf-8")
    assert text == results.results(), "run make results"


def test_the_committed_records_name_no_folder_of_a_machine():
    for path in results.RECORDS.glob("*.json"):
        assert path.stem in results.KINDS
        text = path.read_text()
        assert not re.search(r'["= ](/|~/|\.\./)\w', text), path


@pytest.mark.parametrize("name", results.KINDS)
def test_a_record_is_taken_and_shown(name, tmp_path):
    folder = tmp_path / "results"
    kept = results.take(record_file(tmp_path, RECORDS[name]), folder)
    assert kept == folder / f"{name}.json" and json.loads(kept.read_text()) == RECORDS[name]
    page = results.results(folder)
    lines = [" ".join(line.split()) for line in page.splitlines()]
    for row in ROWS[name]:
        assert row in lines
    command = RECORDS[name]["measured"]["command"]
    assert f"`{command}`, 2017-07-21, commit 0123456789, on An Abacus, 2 cores" in lines
    # No other section: there is no record of it.
    assert [line for line in lines if line.startswith("## ")] == [f"## {results.KINDS[name].title}"]


def test_sections_stand_in_the_order_of_the_kinds(tmp_path):
    for name in reversed(results.KINDS):
        results.take(record_file(tmp_path, RECORDS[name]), tmp_path / "results")
    page = results.results(tmp_path / "results")
    titles = re.findall("^## (.*)$", page, re.MULTILINE)
    assert titles == [kind.title for kind in results.KINDS.values()]
    for line in page.splitlines():  # every table is whole
        assert not line.startswith("|") or line.endswith("|")


def test_a_record_loses_the_machines_folders(tmp_path):
    record = copy.deepcopy(RECORDS["demo"])
    record["lifting"]["weights"] = "/home/somebody/build/final.caffemodel"
    kept = results.take(record_file(tmp_path, record), tmp_path / "results")
    assert json.loads(kept.read_text())["lifting"]["weights"] == "final.caffemodel"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, 'expected the JSON of a measuring command, with "measured"'),
        ([1], 'expected the JSON of a measuring command, with "measured"'),
        ({"measured": {"command": "python -m tools.bench.lift"}}, "measure it again"),
        (
            {"measured": RECORDS["lift"]["measured"] | {"command": "python -m pytest"}},
            "expected a record of tools.report, .*; got pytest",
        ),
        (
            {"measured": RECORDS["lift"]["measured"], "gpu": 0},
            "expected a record of .*; got tools.bench.lift on a GPU",
        ),
        (
            {"measured": RECORDS["lift"]["measured"]},
            "not as tools.bench.lift writes it now .KeyError: 'models'.; measure it again",
        ),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, record, message):
    with pytest.raises(InputError, match=message):
        results.take(record_file(tmp_path, record), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_file_that_is_not_json_is_one_line(tmp_path, capsys):
    path = tmp_path / "measured.json"
    path.write_text("{")
    assert results.main(["--take", str(path)]) == 1
    error = capsys.readouterr().err
    assert "measured.json: expected JSON" in error and error.count("\n") == 1
