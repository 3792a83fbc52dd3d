"""What programs promise when things go wrong: outputs are whole or not there, in one line."""

import resource
import subprocess
import sys

import pytest

from tests import landmark_files


def run(module, *arguments, size=None):
    """The ended process of a program. size: no file may become larger, bytes, as on a full disk."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit if size is not None else None,
    )


def assert_one_line(done, module):
    """It ended with status 1 and said why in one line."""
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"python -m {module}: ")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["npz", "json", "csv", "bvh", "png", "gif", "mp4", "html"])
def test_lifted_files_on_a_full_disk_are_not_there(tmp_path, suffix):
    points = landmark_files.image_points(landmark_files.walk(40))
    landmark_files.openpose(tmp_path / "frames", points)
    out = tmp_path / "out" / f"poses.{suffix}"
    size = 4096 if suffix != "mp4" else 50_000
    done = run("tools.lift", tmp_path / "frames", "--no-deviation", "--out", out, size=size)
    assert_one_line(done, "tools.lift")
    assert not list(out.parent.iterdir())
