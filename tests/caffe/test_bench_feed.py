"""tools/bench/feed.py on photographs and on the tiny data."""

import json
import time

import pytest

from python_layers.data import annotations
from tools.bench import feed


def run(out, *more):
    options = ["--batch", "2", "--batches", "1", "--rounds", "1", *map(str, more)]
    return feed.main(["--out", str(out), *options])


def test_the_rates_of_each_number_of_workers(world, tmp_path, capsys):
    data = world / "data/train.json"
    assert run(tmp_path / "feed.json", "--workers", 0, 2, "--data", data) == 0
    record = json.loads((tmp_path / "feed.json").read_text())
    assert [rate["workers"] for rate in record["rates"]] == [0, 2]
    for rate in record["rates"]:
        share = rate["images_per_second"] / rate["decoded_per_second"]
        assert rate["share_of_floor"] == pytest.approx(share)
        # Making a sample takes what decoding does, and more.
        assert rate["cpu_ms"] > rate["decoding_cpu_ms"] > 0
    assert record["images"] == len(annotations.load(data)) and record["side_px"] == 96
    assert "| 2 " in capsys.readouterr().out


def test_the_cpu_time_is_that_of_all_processes():
    """Of batches that keep a processor busy for a while: 2 images in 20 ms, in two workers too."""

    def make(position, arrays):
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass

    for workers in (0, 2):
        _, spent = feed.rate(make, ((1,),), 2, workers, 3)
        assert 10 <= spent < 15


def test_photographs_are_as_large_as_human36ms_frames(tmp_path):
    feed.write_photographs(tmp_path / "photographs.pack")
    people = annotations.load(tmp_path / "photographs.pack")
    assert len(people) == feed.PHOTOGRAPHS and people.image(3).shape == (900, 900, 3)


def test_fewer_than_no_workers_are_refused(tmp_path, capsys):
    assert run(tmp_path / "feed.json", "--workers", -1) == 1
    assert "--workers: expected 0 or more, got -1" in capsys.readouterr().err
