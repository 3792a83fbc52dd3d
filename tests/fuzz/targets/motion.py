"""Motion capture, and joint maps."""

import json
import time
from pathlib import Path

import numpy as np

from prior import mocap, partitions, skeleton_file
from prior.mocap import clip_npz, human36m, joint_map, motion
from prior.skeleton import COCO, LANDMARKS
from tests.fuzz.target import Target
from tests.poses import random_poses
from tests.prior.mocap import test_markers, test_smpl

CMU = Path("tests/data/cmu")


def _lines(source, name, count):
    """A file of which the first lines of motion are enough."""

    def make(folder):
        text = source.read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(text[:count]))
        return folder / name

    return make


def _bvh(folder):
    lines = (CMU / "indian/07.bvh").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Frames:"))
    lines[at] = "Frames: 4"
    (folder / "a.bvh").write_text("\n".join(lines[: at + 6]) + "\n")
    return folder / "a.bvh"


def _acclaim(mutated):
    def make(folder):
        asf = _lines(CMU / "subjects/01/01.asf", "01.asf", None)(folder)
        lines = (CMU / "subjects/01/01_14.amc").read_text().splitlines(keepends=True)
        (folder / "01_14.amc").write_text("".join(lines[: lines.index("4\n")]))
        return asf if mutated == "asf" else folder / "01_14.amc"

    return make


def _read_folder(path):
    return mocap.read(path.parent)


def _deepmimic(folder):
    row = [0.03, 0, 0.9, 0] + [1, 0, 0, 0] * 3
    # root, chest, neck; right hip, knee, ankle, shoulder, elbow; the same left
    row += ([1, 0, 0, 0] + [0.0] + [1, 0, 0, 0] * 2 + [0.0]) * 2
    (folder / "humanoid3d_x.txt").write_text(json.dumps({"Loop": "none", "Frames": [row] * 3}))
    return folder / "humanoid3d_x.txt"


def _clip(folder):
    poses = random_poses(4, seed=0)
    clip_npz.write(folder / "a.npz", mocap.Clip(poses, 30.0, "S1", "walk"))
    return folder / "a.npz"


def _joints(count):
    """(count, 32, 3), m, z up: Human3.6M's joints."""
    joints = np.zeros((count, 32, 3), "f4")
    joints[:, human36m.LANDMARK_JOINTS] = random_poses(count, seed=0) @ human36m.Y_UP / 1000
    return joints


def _videopose(folder):
    content = {"S1": {"Walking": _joints(3)}, "S5": {"Eating 1": _joints(2)}}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(content, dtype=object))
    return folder / "data_3d_h36m.npz"


def _cdf(folder):
    from cdflib.cdfwrite import CDF

    place = folder / "S1/MyPoseFeatures/D3_Positions"
    place.mkdir(parents=True)
    with CDF(place / "Walking 1.cdf") as file:
        spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
        file.write_var(spec | {"Dim_Sizes": [4, 96]}, var_data=1000 * _joints(4).reshape(1, 4, 96))
    return place / "Walking 1.cdf"


def _joint_map(folder):
    places = {name: ["A", "B"] for name in LANDMARKS}
    places |= {"nose": {"joint": "Head", "offset": [0, 40, 100]}, "unit": "cm"}
    (folder / "map.json").write_text(json.dumps(places))
    return folder / "map.json"


def _markers(suffix):
    def make(folder):
        test_markers.write_map(folder / "map.json")
        path = folder / f"a{suffix}"
        test_markers.WRITERS[suffix](path, test_markers.two_markers(test_markers.walk(4)))
        return path

    return make


def _read_markers(path):
    mocap.read(path, marker_map=path.with_name("map.json"))


def _marker_map(folder):
    _markers(".trc")(folder)
    return folder / "map.json"


def _smpl(folder):
    joints = np.tile(test_smpl.REST, (4, 1, 1))
    return test_smpl.write(folder / "a.npz", joints, up="y")


def _motion(folder):
    poses = np.round(random_poses(5, seed=0))
    motion.write(folder / "a.npz", [mocap.Clip(poses, 30.0, "5", "wave", "5_01", "gesture")])
    return folder / "a.npz"


def _partition(suffix):
    def make(folder):
        poses = np.round(random_poses(5, seed=0)).astype(np.float32)
        if suffix == ".npy":
            np.save(folder / "a.npy", poses)
        else:
            np.savez(folder / "a.npz", poses_mm=poses)
        return folder / f"a{suffix}"

    return make


def _read_partition(path):
    """A changed file of the same name is another one."""
    other = path.with_name(f"{time.monotonic_ns()}{path.suffix}")
    path.rename(other)
    try:
        np.sum(partitions.open_folder(path.parent)[:])
    finally:
        other.rename(path)


def _skeleton(folder):
    (folder / "skeleton.json").write_text(json.dumps(skeleton_file.to_json(COCO)))
    return folder / "skeleton.json"


TARGETS = (
    Target("mocap .bvh", _bvh, mocap.read),
    Target("mocap .asf", _acclaim("asf"), _read_folder),
    Target("mocap .amc", _acclaim("amc"), mocap.read),
    Target("mocap DeepMimic", _deepmimic, mocap.read),
    Target("mocap .npz", _clip, mocap.read),
    Target("mocap carried", _motion, mocap.read),
    Target("mocap SMPL", _smpl, mocap.read),
    Target("mocap VideoPose3D", _videopose, mocap.read),
    Target("mocap .cdf", _cdf, mocap.read),
    Target("mocap .c3d", _markers(".c3d"), _read_markers),
    Target("mocap .trc", _markers(".trc"), _read_markers),
    Target("partitions .npy", _partition(".npy"), _read_partition),
    Target("partitions .npz", _partition(".npz"), _read_partition),
    Target("marker map", _marker_map, lambda path: _read_markers(path.with_name("a.trc"))),
    Target("joint map", _joint_map, joint_map.read),
    Target("skeleton", _skeleton, skeleton_file.read),
)
