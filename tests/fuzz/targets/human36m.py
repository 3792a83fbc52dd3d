"""Human3.6M's files, and what is made of them."""

import json
import tarfile

import numpy as np

from tests import annotated
from tests.fuzz.target import Target
from tests.poses import random_poses
from tools.convert import h36m_cameras, h36m_files
from tools.evaluate import truth

MATRIX = np.array([[1100.0, 0, 320], [0, 1100, 240], [0, 0, 1]])


def _metadata(folder):
    from tests.tools.convert.test_h36m import metadata

    (folder / "metadata.xml").write_text(metadata())
    return folder / "metadata.xml"


def _read_metadata(path):
    h36m_cameras.cameras(path)
    h36m_files.recordings(path)


def _tar(suffix, mode):
    def make(folder):
        inside = folder / "S1/MyPoseFeatures/D3_Positions"
        inside.mkdir(parents=True)
        (inside / "Walking 1.cdf").write_bytes(bytes(range(256)) * 20)
        path = folder / f"Poses_D3_Positions_S1{suffix}"
        with tarfile.open(path, mode) as archive:
            archive.add(folder / "S1", "S1")
        return path

    return make


def _read_tar(path):
    h36m_files.Source(path.parent, path.parent / "raw").extract("S1", "D3_Positions")


def _marker(folder):
    path = folder / "human36m.json"
    path.write_text(json.dumps({"trials": {"S9": {"Walking 1": 1, "Walking": 2}}}))
    (folder / "test.json").write_text(json.dumps(annotated.document()))
    return path


def _positions(folder):
    _marker(folder)
    (folder / "positions").mkdir()
    np.savez(
        folder / "positions/S9.npz",
        **{
            "rotation/54138969": np.eye(3),
            "intrinsics/54138969": MATRIX,
            "distortion/54138969": np.zeros(5),
            "poses_mm/Walking": random_poses(65, seed=0),
            "points/Walking.54138969": np.zeros((65, 17, 2)),
        },
    )
    return folder / "positions/S9.npz"


TARGETS = (
    Target("Human3.6M metadata", _metadata, _read_metadata),
    Target("Human3.6M .tar", _tar(".tar", "w"), _read_tar),
    Target("Human3.6M .tgz", _tar(".tgz", "w:gz"), _read_tar),
    Target("Human3.6M marker", _marker, lambda path: truth.load([path.with_name("test.json")])),
    Target("Human3.6M positions", _positions, lambda path: truth.load([path.parent.parent])),
)
