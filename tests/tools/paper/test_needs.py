"""What the stages of the paper's experiments say that they need."""

import json
import shutil
from types import SimpleNamespace

import pytest

from prior.errors import InputError
from tools.paper import __main__ as paper
from tools.paper import needs


def test_times_are_those_of_the_record():
    """By hand: 173,000 iterations of 8 images at the record's milliseconds."""
    times = json.loads(needs.RECORD.read_text())["networks"]["lifting"]
    asked = paper.of_training("lifting", None, "none")
    per_image = times["train"]["iteration_ms"] / times["train"]["batch"] / 1000
    assert asked.seconds == pytest.approx(173_000 * 8 * per_image)
    seconds = needs.of_evaluation("lifting", 1000, 5, "none").seconds
    assert seconds == pytest.approx(1000 * 5 * times["deploy"]["forward_ms"] / 1000)


def test_the_size_of_weights():
    """CPM has 31 million weights, by the shapes in the paper's table; snapshots come each 5,000."""
    _, path = paper.solver_of("cpm")
    count = paper.weights_size(path) / 4
    first = 81 * 3 * 128 + 2 * 81 * 128 * 128 + 25 * 128 * 32
    assert count > 2 * first  # the trunk of stages 1 and 2
    assert 31.0e6 < count < 32.0e6
    asked = paper.of_training("cpm", None, "none")
    assert asked.disk == pytest.approx(4 * count * 2 * (173_000 // 5_000 + 2))


def test_convolutions_of_single_channels_have_few_weights():
    """The network for photographs, whose weights come with the project."""
    kept = (paper.PROTOTXT / "small/lifting/photographs.caffemodel").stat().st_size
    size = paper.weights_size(paper.solver_of("small/lifting")[1])
    assert size == pytest.approx(kept, rel=0.1)


def test_a_network_that_was_not_measured():
    line = list(needs.lines(needs.of_evaluation("vgg/other", 10, 1, "none"), None, "."))[1]
    assert line == "  time: not measured"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (100, "100 s"), (1800, "30 minutes"), (9000, "2 hours"), (1e6, "12 days")],
)
def test_durations(seconds, words):
    assert needs.duration(seconds) == words


def test_on_a_gpu_the_time_is_not_made_up():
    lines = list(needs.lines(needs.of_evaluation("cpm", 1000, 1, "none"), 0, "."))
    assert "not measured on a GPU" in lines[1] and "cores" in lines[1]


def test_a_disk_that_is_too_small_is_refused(monkeypatch, tmp_path, capsys):
    usage = SimpleNamespace(total=10**9, used=9 * 10**8, free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    arguments = ["train", "--net", "cpm", "--data", str(tmp_path / "build/h36m")]
    assert paper.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "training of cpm" in line and "0.1 GB are free: make room" in line
    arguments[2] = "vgg/cpm"
    for job, status in (("eval", 1), ("train", 0)):  # what is there of the training needs no room
        (tmp_path / "build" / job / "h36m/vgg-cpm").mkdir(parents=True)
        with open(tmp_path / "build" / job / "h36m/vgg-cpm/snapshot", "wb") as file:
            file.truncate(10**11)
        assert paper.main(arguments) == status


def test_needs_are_of_the_nearest_folder_that_is_there(tmp_path):
    there = tmp_path / "not/yet"
    needs.check([needs.Needs("nothing", 1.0, 0, 0, there)], there / "there")
    with pytest.raises(InputError, match="a great deal: needs 10000000.0 GB"):
        needs.check([needs.Needs("a great deal", 1.0, 1e16, 0, there)], there)


def test_stages_need_room_together_and_what_is_made_needs_none(monkeypatch, tmp_path):
    usage = SimpleNamespace(total=10**9, used=9 * 10**8, free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    one, other = (needs.Needs(n, 1.0, 6e7, 0, tmp_path / n) for n in ("one", "other"))
    needs.check([one], tmp_path)
    needs.check([other], tmp_path)
    with pytest.raises(InputError, match="^one, other: needs 0.1 GB in .*, and 0.1 GB are free"):
        needs.check([one, other], tmp_path)
    (tmp_path / "one/parts").mkdir(parents=True)
    with open(tmp_path / "one/parts/a", "wb") as file:
        file.truncate(5 * 10**7)
    needs.check([one, other], tmp_path)
