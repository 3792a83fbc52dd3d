"""Recordings for Rerun: written and read back where the extra is installed, else one line."""

import os
import subprocess
import sys

import numpy as np
import pytest

from prior.errors import InputError
from prior.skeleton import LANDMARKS, LIMBS
from tests import landmark_files as files
from tests.tools.lift.made import made
from tools.lift import rrd, timeline, writing

FRAMES = np.array([0, 1, 2, 5, 6, 7])
POSES = made(
    files.walk(6),
    {"frames": [str(i) for i in range(9)], "rate": 25.0},
    frame=FRAMES,
    plausible=FRAMES != 2,
)


def test_without_the_package_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(InputError, match="requirements-rerun.txt") as error:
        list(writing.write(tmp_path / "a.rrd", POSES))
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_the_recording_has_the_poses_at_their_times(tmp_path):
    chunk = pytest.importorskip("rerun.chunk", reason="requirements-rerun.txt is not installed")
    assert list(writing.write(tmp_path / "a.rrd", POSES)) == [tmp_path / "a.rrd"]
    columns = {}
    for part in chunk.RrdReader(tmp_path / "a.rrd").stream():
        columns.setdefault(part.entity_path, []).append(part.to_record_batch())
    (points,) = columns["/person_0/landmarks"]
    track, frame = timeline.tracks(POSES)[0]
    assert points["frame"].to_pylist() == frame.tolist()
    times = points["time"].cast("int64").to_pylist()
    np.testing.assert_allclose(times, 1e9 * frame / 25, atol=1e3)
    np.testing.assert_allclose(points["Points3D:positions"].to_pylist(), track / 1000, atol=1e-6)
    assert points["Points3D:labels"].to_pylist()[0] == list(LANDMARKS)
    (limbs,) = columns["/person_0/limbs"]
    strips = np.array(limbs["LineStrips3D:strips"].to_pylist())
    np.testing.assert_allclose(strips, track[:, np.array(LIMBS)] / 1000, atol=1e-6)
    colours = limbs["LineStrips3D:colors"].to_pylist()
    assert [len(set(of_one)) > 1 for of_one in colours] == (FRAMES != 2).tolist()
    # Who goes away is no longer shown: after frames 2 and 7.
    (cleared,) = columns["/person_0"]
    assert cleared["frame"].to_pylist() == [3, 8]
    assert rrd.METRE == 1000


@pytest.mark.slow
def test_the_viewers_own_program_accepts_the_recording(tmp_path):
    pytest.importorskip("rerun_cli", reason="requirements-rerun.txt is not installed")

    def rrd(command, path):
        """The program, with a home of its own, since it asks there whether it may report usage."""
        return subprocess.run(
            [sys.executable, "-m", "rerun_cli", "rrd", command, str(path)],
            env=os.environ | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    path = tmp_path / "a.rrd"
    list(writing.write(path, POSES))
    done = rrd("verify", path)
    assert done.returncode == 0 and "1 file verified without error" in done.stderr, done.stderr
    stats = rrd("stats", path).stdout
    assert "num_entity_paths = 5" in stats
    # It does say what is wrong.
    path.write_bytes(path.read_bytes()[:3000])
    assert "Verification failed" in rrd("verify", path).stderr
