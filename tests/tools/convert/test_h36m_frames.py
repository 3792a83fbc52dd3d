"""Frames of Human3.6M's videos with their positions and cameras, on one tiny video."""

import cdflib.cdfwrite
import cv2
import numpy as np
import pytest
import scipy.spatial

from prior import camera as cameras
from prior.mocap import human36m as motion
from python_layers.data import annotations, lens
from tests.poses import random_poses
from tools.convert import entries, h36m, h36m_cameras, h36m_frames
from tools.convert.entries import ConversionError

SIZE, FRAMES = 1000, 12
JOINTS = list(motion.LANDMARK_JOINTS)


def write_pose(path, joints):
    """Pose (1, F, 32 axes) in a CDF file, as the data set has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = joints.reshape(len(joints), -1).astype(np.float32)
    file = cdflib.cdfwrite.CDF(path)
    spec = {
        "Variable": "Pose",
        "Data_Type": file.CDF_FLOAT,
        "Num_Elements": 1,
        "Rec_Vary": True,
        "Dim_Sizes": list(flat.shape),
    }
    file.write_var(spec, var_data=flat[None])
    file.close()


def rotation(angles):
    """Rx Ry Rz, by scipy."""
    return scipy.spatial.transform.Rotation.from_euler("XYZ", angles).as_matrix()


@pytest.fixture
def human(tmp_path):
    """Subject 1 walking before camera 55011271, the second: (folder, angles, points)."""
    rng = np.random.default_rng(0)
    w0 = rng.uniform(-1, 1, size=300)
    # World z up: a camera 5 m away at a height of 1.5 m, looking along y, a little down and turned.
    angles, position = np.array([np.pi / 2 + 0.1, 0.03, -0.2]), np.array([900.0, -5000, 1500])
    w0[6 * 11 : 6 * 12] = [*angles, *position]
    lens = [1145.5, 1144.8, 514.9, 501.9, -0.2, 0.24, -0.002, -0.0009, -0.0016]
    w0[264:] = np.tile(lens, 4) + np.repeat(np.arange(4) - 1, 9)  # the second is exact
    numbers = " ".join(f"{value:.12g}" for value in w0)
    (tmp_path / "metadata.xml").write_text(f"<metadata><w0>[{numbers}]</w0></metadata>")
    # Somebody standing near the origin; z up there.
    poses = random_poses(FRAMES) + [0, 900, 0]
    joints = np.zeros((FRAMES, 32, 3))
    joints[:, JOINTS] = poses @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    in_camera = (joints - position) @ rotation(angles).T
    points, _ = cv2.projectPoints(
        in_camera.reshape(-1, 3),
        np.zeros(3),
        np.zeros(3),
        np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]]),
        np.array([lens[4], lens[5], lens[7], lens[8], lens[6]]),
    )
    points = points.reshape(FRAMES, 32, 2)
    features = tmp_path / "S1/MyPoseFeatures"
    write_pose(features / "D2_Positions/Walking 1.55011271.cdf", points)
    write_pose(features / "D3_Positions/Walking 1.cdf", joints)
    video = tmp_path / "S1/Videos/Walking 1.55011271.mp4"
    video.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"mp4v"), 50, (SIZE, SIZE))
    for i in range(FRAMES):
        frame = np.full((SIZE, SIZE, 3), 20 * i, np.uint8)
        for x, y in points[i, JOINTS]:
            cv2.circle(frame, (int(x), int(y)), 4, (255, 255, 255), -1)
        writer.write(frame)
    writer.release()
    return tmp_path, poses, points[:, JOINTS]


def convert(folder, step=5):
    """Every step-th frame of the video, in a.pack; the Report."""
    views = h36m_cameras.cameras(folder / "metadata.xml")
    features = folder / "S1/MyPoseFeatures"
    places = {kind: features / kind for kind in ("D2_Positions", "D3_Positions")}
    (video,) = (folder / "S1/Videos").iterdir()
    report = entries.Report()
    frames = h36m_frames.read(video, places, views, lambda count: range(0, count, step), report)
    in_json = h36m_cameras.as_json(views, ["S1"])
    assert len(in_json) == 4
    return entries.write(folder / "a.pack", frames, in_json, report=report)


@pytest.mark.slow
def test_frames_positions_and_cameras_belong_together(human):
    folder, poses, points = human
    assert convert(folder).people == 3
    people = annotations.load(folder / "a.pack")
    assert people.frames == (0, 5, 10)  # 10 of 50 frames a second
    assert set(people.subjects) == {"S1"} and set(people.actions) == {"Walking 1"}
    assert set(people.camera_names) == {"S1/55011271"}
    assert people.files[1] == "S1/Walking 1.55011271.000005.jpg"
    np.testing.assert_allclose(people.poses_mm, poses[::5], atol=0.01)
    straight = lens.undistorted(people.points, people.intrinsics, people.distortions)
    for i in range(3):
        crop = people.image(i)
        assert max(crop.shape) < 1000
        background = np.median(crop)
        assert abs(background - 100 * i) < 8
        # The picture, its 2D landmarks and the camera belong together.
        for x, y in people.points[i].astype(int):
            assert crop[y, x].min() > background + 60 or background > 190
        flat = cameras.perspective(
            people.poses_mm[i], people.rotations[i], people.positions_mm[i], people.intrinsics[i]
        )
        away = np.linalg.norm(flat - people.points[i], axis=1)
        assert away.max() < 25  # the lens, strongest at the border
        assert np.linalg.norm(flat - straight[i], axis=1).max() < 0.35
    assert (people.visible == 2).all()
    shift = points[::5] - people.points
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-3)
    convert(folder, step=1)
    assert len(annotations.load(folder / "a.pack")) == FRAMES


def test_the_camera_is_that_of_the_subject(human):
    folder, *_ = human
    views = h36m_cameras.cameras(folder / "metadata.xml")
    assert len(views) == 44
    camera = views["S1/55011271"]
    np.testing.assert_allclose(camera.position, [900, 1500, 5000])
    assert camera.rotation[1] @ [0, 1, 0] < -0.9  # y of the image goes down
    assert camera.rotation[2] @ [0, 0, -1] > 0.9  # it looks at the origin
    cameras.check_rotation(np.stack([c.rotation for c in views.values()]))


def test_positions_of_another_camera_are_left_out(human):
    folder, *_ = human
    name = "Walking 1.{}"
    for below, end in (("MyPoseFeatures/D2_Positions", "cdf"), ("Videos", "mp4")):
        path = folder / "S1" / below / f"{name.format('55011271')}.{end}"
        path.rename(path.with_name(f"{name.format('58860488')}.{end}"))
    with pytest.raises(ConversionError, match="px away from its 2D ones"):
        convert(folder)
    assert not (folder / "a.pack").exists()


def test_a_video_cut_short_gives_the_frames_that_it_has(human):
    folder, *_ = human
    video = folder / "S1/Videos/Walking 1.55011271.mp4"
    reader = cv2.VideoCapture(str(video))
    frames = [reader.read()[1] for _ in range(7)]
    reader.release()
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"mp4v"), 50, (SIZE, SIZE))
    for frame in frames:
        writer.write(frame)
    writer.release()
    report = convert(folder)
    assert annotations.load(folder / "a.pack").frames == (0, 5)
    assert "ends at frame 7 of 12" in "\n".join(report.lines())


def test_cameras_that_cannot_be_read(tmp_path):
    with pytest.raises(ConversionError, match="none.xml: cannot be read"):
        h36m_cameras.cameras(tmp_path / "none.xml")
    path = tmp_path / "a.xml"
    path.write_text("<metadata><w0>[1 2 3]</w0></metadata>")
    with pytest.raises(ConversionError, match="a.xml: expected 300 numbers in <w0>, got 3"):
        h36m_cameras.cameras(path)


def test_shares_are_in_proportion_to_the_people(human):
    folder, *_ = human
    paths = [folder / "few.pack", folder / "all.pack"]
    for path, step in zip(paths, (5, 1), strict=True):
        convert(folder, step)
        (folder / "a.pack").rename(path)
    assert h36m.shares(paths) == f"{paths[0]}=5 {paths[1]}=20"  # 3 and 12 people
