"""What make hands on to the programs, and refuses itself."""

import os
import subprocess

import pytest


def make(*words):
    environment = {name: value for name, value in os.environ.items() if name != "CAFFE_ROOT"}
    return subprocess.run(
        ["make", "--dry-run", *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["START", "CPM", "DATA"])
def test_a_path_with_spaces_is_one_line(name):
    """Make would take its words for files, and miss them after hours."""
    result = make("paper", f"{name}=my weights.caffemodel")
    assert result.returncode
    (line,) = result.stderr.splitlines()
    assert f"{name}=my weights.caffemodel: expected a path without spaces" in line


@pytest.mark.parametrize("data", ["build/data/test.json", "mine.json"])
def test_a_shard_of_an_evaluation(data):
    done = make("eval", "NET=lite/lifting", "SHARD=2/4", f"DATA={data}")
    assert done.returncode == 0, done.stderr
    (line,) = [
        line for line in done.stdout.replace("\\\n", "").splitlines() if "tools.evaluate" in line
    ]
    assert "--shard 2/4" in line
    assert "--shard" not in make("eval", "NET=lite/lifting", f"DATA={data}").stdout
