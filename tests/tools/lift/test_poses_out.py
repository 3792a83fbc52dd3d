import cv2
import numpy as np
import pytest
from PIL import Image

from prior.landmark_sets import COCO, LANDMARK_SETS, OPENPOSE_MPI
from prior.mocap import bvh as reader
from prior.mocap import kinematics
from prior.skeleton import LANDMARKS, LIMBS
from tests import landmark_files as files
from tests.poses import random_poses
from tools.lift import __main__ as tool
from tools.lift import bvh, drawing, lifted, viewer

KEYS = {chosen.name: key for key, chosen in LANDMARK_SETS.items()}


def run(*arguments):
    return tool.main([str(a) for a in arguments])


def bones(poses):
    return np.linalg.norm(poses[:, LIMBS[:, 1]] - poses[:, LIMBS[:, 0]], axis=2)


def test_bvh_round_trip_of_constant_bones(tmp_path):
    poses = random_poses(40, seed=2)
    assert np.ptp(bones(poses), axis=0).max() < 1e-6
    bvh.write(tmp_path / "motion.bvh", poses, 50)
    (clip,) = reader.read(tmp_path / "motion.bvh")
    assert clip.rate == pytest.approx(50)
    np.testing.assert_allclose(clip.poses, poses, atol=0.02)


def test_bvh_of_changing_bones_keeps_directions(tmp_path):
    poses = files.walk(40)
    bvh.write(tmp_path / "motion.bvh", poses, 30)
    (clip,) = reader.read(tmp_path / "motion.bvh")
    assert clip.rate == pytest.approx(30)
    np.testing.assert_allclose(
        bones(clip.poses), np.tile(np.median(bones(poses), axis=0), (40, 1)), atol=0.02
    )
    ways = [
        (p[:, LIMBS[:, 1]] - p[:, LIMBS[:, 0]]) / bones(p)[..., None] for p in (clip.poses, poses)
    ]
    np.testing.assert_allclose(*ways, atol=1e-3)


def test_bvh_rests_standing_and_does_not_jump(tmp_path):
    poses = files.walk(60)
    bvh.write(tmp_path / "motion.bvh", poses, 30)
    hierarchy, rows, _ = reader.read_motion(tmp_path / "motion.bvh")
    assert len(set(hierarchy.names)) == len(hierarchy.names)
    # No angle goes round: neighbouring frames are near each other.
    assert np.abs(np.diff(rows[:, 3:], axis=0)).max() < 180
    # All channels zero: upright, arms out, left at +x, facing +z.
    rest = reader.rest(hierarchy)
    at = {name: rest[i] for i, name in enumerate(hierarchy.names)}
    assert at["HeadTop"][1] > at["Neck"][1] > at["Hips"][1] > at["LeftLeg"][1] > at["LeftFoot"][1]
    assert at["LeftHand"][0] > at["LeftArm"][0] > 0 > at["RightHand"][0]
    assert at["Nose"][2] > at["Neck"][2]


def test_half_a_turn_is_a_rotation(tmp_path):
    # A limb exactly against its direction at rest.
    poses = np.cumsum(np.zeros((3, 17, 3)), axis=0)
    lengths = np.full(17, 100.0)
    for i in range(1, 17):
        parent = bvh.PARENTS[i]
        way = -bvh.REST[i] if LANDMARKS[i].endswith(("knee", "elbow")) else bvh.REST[i]
        poses[:, i] = poses[:, parent] + lengths[i] * way
    bvh.write(tmp_path / "motion.bvh", poses, 30)
    hierarchy, rows, _ = reader.read_motion(tmp_path / "motion.bvh")
    local, offsets = reader.local(hierarchy, rows)
    _, positions = kinematics.forward(hierarchy.parents, offsets, local, offsets[:, 0])
    at = hierarchy.names.index("RightFoot")
    np.testing.assert_allclose(10 * positions[:, at], poses[:, 3], atol=0.02)


def test_npz_to_bvh_to_positions(tmp_path):
    # Through the program: the poses on the ground, as far as the bones are constant.
    points = files.image_points(files.walk(20, seed=1))
    source = files.arrays(tmp_path / "a.npz", points, rate=25)
    out = tmp_path / "out.npz"
    assert run(source, "--out", out, "--elevation", 10, "--no-deviation") == 0
    assert run(out, "--out", tmp_path / "out.bvh") == 0
    (clip,) = reader.read(tmp_path / "out.bvh")
    placed = lifted.on_ground(lifted.read(out))
    assert clip.rate == pytest.approx(25)
    np.testing.assert_allclose(clip.poses[:, 0], placed[:, 0], atol=0.02)
    spread = np.ptp(bones(placed), axis=0).max()
    assert np.abs(clip.poses - placed).max() < 4 * spread


def test_a_bvh_for_each_person_without_gaps(tmp_path, capsys):
    points = files.image_points(files.walk(6))
    both = np.concatenate([points, points[[0, 1, 5]] + [600, 0]])
    source = files.arrays(
        tmp_path / "a.npz", both, frame=[*range(6), 0, 1, 5], person=[0] * 6 + [7] * 3
    )
    assert run(source, "--out", tmp_path / "b.bvh", "--elevation", 10, "--no-deviation") == 0
    assert "b-0.bvh" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.glob("*.bvh")) == ["b-0.bvh", "b-7.bvh"]
    assert len(reader.read(tmp_path / "b-7.bvh")[0].poses) == 6


def test_pictures_show_the_photo_and_the_pose(tmp_path):
    points = files.image_points(files.walk(3))
    folder = files.openpose(tmp_path / "frames", points)
    photos = tmp_path / "photos"
    photos.mkdir()
    green = np.full((480, 640, 3), (0, 200, 0), np.uint8)
    cv2.imwrite(str(photos / "clip_000000000001.png"), green)
    (photos / "clip_000000000002.png").write_bytes(b"no image")
    outs = [tmp_path / f"out.{suffix}" for suffix in ("png", "gif", "mp4")]
    # One of the images is not one: said, the rest drawn.
    assert run(folder, "--out", *outs, "--elevation", 10, "--images", photos, "--rate", 10) == 3
    picture = np.asarray(Image.open(outs[0]))
    side = drawing.SIDE
    assert picture.shape == (3 * side, 2 * side, 3)
    green = (picture == [0, 200, 0]).all(axis=2)
    assert green[side : 2 * side, :side].mean() > 0.6 and not green[:side].any()
    blue = (np.abs(picture.astype(int) - [0x4C, 0x72, 0xB0]) < 8).all(axis=2)
    for row in range(3):
        for column in range(2):
            panel = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
            assert blue[panel].sum() > 100, (row, column)
    with Image.open(outs[1]) as gif:
        assert gif.n_frames == 3 and gif.info["duration"] == 100
    video = cv2.VideoCapture(str(outs[2]))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and video.get(cv2.CAP_PROP_FPS) == 10


@pytest.mark.parametrize(
    ("chosen", "between"),
    [
        (COCO, ("hip", "neck")),
        (OPENPOSE_MPI, ("hip", "neck")),
        (OPENPOSE_MPI, ("neck", "head top")),
    ],
)
def test_pictures_and_page_have_trunk_and_head_where_the_set_has_not(tmp_path, chosen, between):
    points = files.image_points(files.walk(1))
    source = files.results(tmp_path / "a.json", files.in_set(points, chosen))
    outs = tmp_path / "o.npz", tmp_path / "o.png"
    options = "--landmarks", KEYS[chosen.name], "--elevation", 10, "--no-deviation"
    assert run(source, "--out", *outs, *options) == 0
    poses = lifted.read(outs[0])
    middle = points[0, [LANDMARKS.index(name) for name in between]].mean(axis=0)
    # In the picture as in the page: a limb passes the middle between the two.
    low, high = (f(poses.points, axis=(0, 1)) for f in (np.nanmin, np.nanmax))
    factor = 0.8 * drawing.SIDE / (high - low).max()
    x, y = np.round(factor * (middle - (low + high) / 2) + drawing.SIDE / 2).astype(int)
    patch = np.asarray(Image.open(outs[1]))[y - 3 : y + 4, x - 3 : x + 4].astype(int)
    assert np.ptp(patch, axis=2).max() > 20 or patch.min() < 200
    (person,) = viewer.content("a", poses, drawing.Photos())["frames"][0]["people"]
    name = "spine" if "hip" in between else "nose"
    np.testing.assert_allclose(person["points"][LANDMARKS.index(name)], middle, atol=0.06)
    # The landmarks themselves stay missing.
    assert np.isnan(poses.points[0, LANDMARKS.index(name)]).all()


@pytest.mark.slow
def test_files_without_a_translation_are_read(tmp_path):
    """As they were written before there was one."""
    path = tmp_path / "a.npz"
    points = files.image_points(files.walk(3))
    assert run(files.arrays(tmp_path / "p.npz", points), "--out", path) == 0
    with np.load(path) as file:
        arrays = dict(file)
    arrays.pop("translation_mm")
    np.savez(path, **arrays)
    poses = lifted.read(path)
    assert poses.translation_mm.shape == (len(poses.frame), 3)
    assert np.isnan(poses.translation_mm).all()
