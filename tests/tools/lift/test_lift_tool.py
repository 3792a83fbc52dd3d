import json
import time

import cv2
import numpy as np
import pytest

import prior
from prior.camera import compose, look_at, perspective, vertical_rotation
from prior.lifting import posterior
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import calibration, keypoints, lifted

POSES = files.walk(6)
POINTS = files.image_points(POSES)
DEGREES = str(np.rad2deg(files.ELEVATION))


def run(*arguments):
    return tool.main([str(a) for a in arguments])


def lift(path, *arguments):
    out = path.parent / "out.npz"
    assert run(path, "--out", out, "--elevation", DEGREES, *arguments) == 0
    return lifted.read(out)


def masked(*missing):
    points = POINTS.copy()
    points[:, [LANDMARKS.index(name) for name in missing]] = np.nan
    return points


@pytest.mark.slow
def test_all_formats_give_the_same_poses(tmp_path):
    expected = lift(files.arrays(tmp_path / "a.npz", masked("spine", "head top")))
    for name, write in (
        ("frames", files.openpose),
        ("results.json", files.coco_results),
        ("annotations.json", files.coco_annotations),
    ):
        poses = lift(write(tmp_path / name, POINTS))
        np.testing.assert_allclose(poses.pose_mm, expected.pose_mm, atol=2e-3, err_msg=name)
    expected = lift(files.arrays(tmp_path / "b.npz", masked("spine", "nose")))
    poses = lift(files.mpii(tmp_path / "mpii.json", POINTS))
    np.testing.assert_allclose(poses.pose_mm, expected.pose_mm, atol=2e-3)
    expected = lift(files.arrays(tmp_path / "c.npz", POINTS))
    poses = lift(files.table(tmp_path / "table.csv", POINTS))
    np.testing.assert_allclose(poses.pose_mm, expected.pose_mm, atol=2e-3)


def test_it_is_prior_lift(tmp_path):
    poses = lift(files.arrays(tmp_path / "a.npz", POINTS))
    lifter = prior.Lifter(prior.load())
    camera = compose(0.0, files.ELEVATION, 0.0)
    expected = lifter.lift(POINTS, camera=camera)
    np.testing.assert_allclose(poses.pose_mm, expected.pose, atol=1e-3)
    np.testing.assert_allclose(poses.deviation_mm, lifter.deviation(expected), atol=0.05)
    np.testing.assert_allclose(poses.camera[0], camera, atol=1e-7)


def test_npz_to_json_and_back_is_equal(tmp_path):
    poses = lift(files.openpose(tmp_path / "frames", POINTS), "--rate", "25")
    first, text, again = (tmp_path / n for n in ("out.npz", "poses.json", "again.npz"))
    assert run(first, "--out", text) == 0 and run(text, "--out", again) == 0
    back = lifted.read(again)
    for name, before, after in zip(lifted.Poses._fields, poses, back, strict=True):
        if name == "meta":
            assert before == after and after["rate"] == 25
        else:
            assert before.dtype.kind == after.dtype.kind
            np.testing.assert_array_equal(before, after, err_msg=name)


@pytest.mark.slow
def test_csv_is_a_row_for_each_pose(tmp_path):
    path, out = files.arrays(tmp_path / "a.npz", POINTS), tmp_path / "out.csv"
    assert run(path, "--out", out, tmp_path / "out.npz", "--no-deviation") == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 7 and lines[0].startswith(
        "frame,name,person,component,plausible,reason,hip x,hip y,hip z"
    )
    pose = lifted.read(tmp_path / "out.npz").pose_mm
    row = dict(zip(lines[0].split(","), lines[3].split(","), strict=True))
    assert float(row["nose y"]) == pose[2, LANDMARKS.index("nose"), 1]
    assert row["nose deviation"] == ""


@pytest.mark.slow
def test_the_tilt_is_searched_once(tmp_path):
    # Poses of many kinds, from all sides: one alone says little of the camera.
    poses = files.walk(750, seed=3)[::25] @ vertical_rotation(np.arange(30.0)).swapaxes(1, 2)
    path = files.arrays(tmp_path / "a.npz", files.image_points(poses, np.deg2rad(25)))
    assert run(path, "--out", tmp_path / "out.npz", "--no-deviation") == 0
    camera = lifted.read(tmp_path / "out.npz").camera
    assert (camera == camera[0]).all()
    elevation = np.rad2deg(np.arcsin(-camera[0, 2, 1]))
    assert abs(elevation - 25) <= 3


@pytest.mark.parametrize("kind", ["yaml", "json", "npz"])
def test_a_calibrated_camera_off_its_axis(tmp_path, kind):
    # A person far from the middle of a distorted image, z up: as lifted from the same direction.
    pose = POSES[:1] + [1500, 900, 0]
    position = np.array([0.0, 1500, 5000])
    rotation = look_at(position, [0.0, 900, 0])
    K = np.array([[1100.0, 0, 640], [0, 1100, 360], [0, 0, 1]])
    distortion = np.array([-0.2, 0.05, 0.001, 0.001, 0])
    theirs = rotation @ calibration.UP["z"]
    vector = cv2.Rodrigues(theirs)[0]
    points = cv2.projectPoints(
        (pose[0] - position) @ calibration.UP["z"], vector, np.zeros(3), K, distortion
    )[0][None, :, 0]
    path = tmp_path / f"camera.{kind}"
    if kind == "npz":
        np.savez(path, K=K, dist=distortion, rvec=vector)
    elif kind == "json":
        path.write_text(
            json.dumps({"K": K.tolist(), "dist": distortion.tolist(), "R": theirs.tolist()})
        )
    else:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("camera_matrix", K)
        storage.write("distortion_coefficients", distortion)
        storage.write("R", theirs)
        storage.release()
    camera = calibration.read(path, "z")
    np.testing.assert_allclose(camera.rotation, rotation, atol=1e-6)
    straight, turned = camera.straighten(points, camera.rotation)
    # The pinhole projection in the turned camera, whose centre is the principal point.
    ideal = perspective(pose, turned[0], position, np.diag([1100.0, 1100, 1]))
    np.testing.assert_allclose(straight, ideal, atol=0.2)
    out = tmp_path / "out.npz"
    assert (
        run(files.arrays(tmp_path / "p.npz", points), "--camera", path, "--up", "z", "--out", out)
        == 0
    )
    poses, ready = lifted.read(out), prior.load()
    ideal = perspective(pose, rotation, position, K)
    np.testing.assert_allclose(camera.undistorted(points), ideal, atol=0.2)
    expected = prior.lift(ideal, ready, camera=rotation, intrinsics=K)
    np.testing.assert_allclose(poses.pose_mm, expected.pose, atol=3)
    np.testing.assert_allclose(poses.translation_mm, expected.translation, atol=10)
    # The size is the typical one, not the person's: the direction is right, and about the distance.
    place = rotation @ (pose.mean(axis=1)[0] - position)
    cosine = poses.translation_mm[0] @ place / np.linalg.norm(place)
    assert cosine / np.linalg.norm(poses.translation_mm[0]) > 0.9999
    assert abs(cosine / np.linalg.norm(place) - 1) < 0.15
    # As published: weak perspective in the camera that is turned towards the person.
    arguments = ("--camera", path, "--up", "z", "--as-published", "--out", out)
    assert run(tmp_path / "p.npz", *arguments) == 0
    expected = prior.lift(straight, ready, camera=turned, noise_mm=0, criterion="cost")
    np.testing.assert_allclose(lifted.read(out).pose_mm, expected.pose, atol=3)
    assert np.isnan(lifted.read(out).translation_mm).all()


def test_a_field_of_view_is_a_camera_matrix_in_the_images_middle(tmp_path):
    """90 degrees along the longer side: the focal length is half of it."""
    matrix = np.array([[320.0, 0, 319.5], [0, 320, 239.5], [0, 0, 1]])
    camera = compose(0.0, files.ELEVATION, 0.0)
    expected = prior.lift(POINTS, prior.load(), camera=camera, intrinsics=matrix)
    out = tmp_path / "o.npz"
    size = ("--image-size", 640, 480)
    tilt = ("--elevation", DEGREES, "--no-deviation")
    run(files.arrays(tmp_path / "p.npz", POINTS), "--fov", 90, *size, *tilt, "--out", out)
    poses = lifted.read(out)
    np.testing.assert_allclose(poses.pose_mm, expected.pose, atol=0.01)
    np.testing.assert_allclose(poses.translation_mm, expected.translation, atol=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.json", "--out", "o.npz"], "No such file"),
        (["{points}", "--out", "o.doc"], "expected a suffix of"),
        (["{points}", "--out", "o.npz", "--camera", "{points}"], "got an object with points"),
        (["{points}", "--out", "o.npz", "--camera", "README.md"], "expected a camera, as"),
        (["{points}", "--out", "o.npz", "--fov", "60"], "--fov: expected the size of the images"),
        (["{points}", "--out", "o.npz", "--elevation", "95"], "expected -90 to 90"),
        (["{points}", "--out", "o.npz", "--rate", "0"], "--rate: expected 0.000277778 to"),
        (["{points}", "--out", "o.npz", "--rate", "1e-300"], "--rate: expected 0.000277778 to"),
        (["{points}", "--out", "o.npz", "--noise-mm", "1e300"], "noise_mm: expected 0 or more"),
        (["{points}", "--out", "o.npz", "--prior", "README.md"], "README.md"),
        (["{points}", "--out", "o.npz", "--landmarks", "mpii"], "found 17"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, message):
    path = tmp_path / "p.npz"
    np.savez(path, points=POINTS)
    arguments = [a.replace("{points}", str(path)) for a in arguments]
    arguments = [str(tmp_path / a) if a.startswith("o.") else a for a in arguments]
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert message in error.replace("got 17", "found 17") and error.count("\n") == 1
    assert not list(tmp_path.glob("o.*"))


def test_several_people_are_told_apart(tmp_path):
    points = np.concatenate([[a, b] for a, b in zip(POINTS, POINTS + [600, 0], strict=True)])
    path = files.arrays(tmp_path / "a.npz", points, frame=np.repeat(np.arange(6), 2))
    poses = lift(path, "--no-deviation")
    assert poses.person.tolist() == [0, 1] * 6
    placed = lifted.on_ground(poses)
    np.testing.assert_allclose(placed[..., 1].min(axis=1), 0, atol=1e-9)
    # 600 px to the right in the image, which a level camera has on the side of +x.
    apart = (placed[1::2] - placed[::2]).mean(axis=(0, 1))
    np.testing.assert_allclose(apart, [600 / np.median(poses.scale), 0, 0], rtol=0.05, atol=10)


@pytest.mark.slow
def test_the_deviation_is_that_of_the_posterior():
    # By the diagonal alone, and by the whole matrix: cameras and weights of all kinds.
    # What the second leaves out would be 0 of an orthonormal basis: the ready one's is, to the
    # seven digits of its file.
    random = np.random.default_rng(0)
    points, lifter = files.image_points(files.walk(40)), prior.Lifter(prior.load())
    cameras = compose(random.normal(size=40) * 0.1, random.uniform(0, 0.5, 40), random.random(40))
    weights = random.choice([0, 0.25, 0.5, 1], size=(40, 17))
    for camera, confidence in ((None, None), (cameras, None), (None, weights)):
        poses = lifter.lift(points, camera=camera, confidence=confidence)
        for spread in (True, False):
            moments = lifter.posterior(poses, spread)
            np.testing.assert_allclose(
                lifter.deviation(poses, spread),
                posterior.deviation(moments),
                rtol=1e-6,
            )


def test_a_thousand_frames_are_quick(tmp_path):
    # 5,000 frames a second on an idle machine. The processor's own time, which others on the
    # machine lengthen less.
    path = files.arrays(tmp_path / "a.npz", files.image_points(files.walk(1000)))
    start = time.process_time()
    lift(path)
    assert time.process_time() - start < 1.5


def test_keypoints_are_rounded_on_no_way(tmp_path):
    # The reader keeps what the file has.
    poses = keypoints.read(files.arrays(tmp_path / "a.npz", POINTS))
    np.testing.assert_array_equal(poses.points, POINTS)


@pytest.mark.slow
def test_what_is_no_person_is_marked_everywhere(tmp_path, capsys):
    order = np.random.default_rng(0).permutation(17)
    points = np.concatenate([POINTS, POINTS[:2][:, order]])
    source = files.arrays(tmp_path / "a.npz", points, rate=10.0)
    outs = [tmp_path / f"out.{suffix}" for suffix in ("npz", "json", "csv", "html", "png")]
    arguments = ("--elevation", DEGREES, "--no-deviation", "--out")
    assert run(source, *arguments, *outs) == 3
    printed = capsys.readouterr()
    assert "2 of 8 poses are no plausible person: marked" in printed.err
    assert "first in frame 6, person 0: " in printed.err
    expected = [True] * 6 + [False] * 2
    poses = lifted.read(outs[0])
    assert poses.plausible.tolist() == expected
    assert [bool(reason) for reason in poses.reason] == [False] * 6 + [True] * 2
    records = json.loads(outs[1].read_text())["poses"]
    assert [record["plausible"] for record in records] == expected
    assert [record["reason"] for record in records] == poses.reason.tolist()
    rows = [line.split(",") for line in outs[2].read_text().splitlines()[1:]]
    assert [row[4] for row in rows] == ["yes"] * 6 + ["no"] * 2
    page = json.loads(outs[3].read_text().split('type="application/json">')[1].split("</script")[0])
    people = [frame["people"][0] for frame in page["frames"]]
    assert [person["plausible"] for person in people] == expected
    picture = cv2.imread(str(outs[4])).astype(int)
    blue = (np.abs(picture - [0xB0, 0x72, 0x4C]) < 8).all(axis=2)
    side = len(picture) // 8
    shares = [blue[i * side : (i + 1) * side].sum() > 100 for i in range(8)]
    assert shares == expected
    # Read again, it still says so; --strict leaves it out.
    assert run(outs[0], "--out", tmp_path / "strict.npz", "--strict") == 3
    assert "2 people: no plausible person" in capsys.readouterr().out
    assert lifted.read(tmp_path / "strict.npz").frame.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("suffixes", "how"),
    [
        ("npz csv", "marked"),
        ("npz bvh glb", "marked, but not in .bvh .glb, which cannot say it"),
        ("trc c3d mot", "not marked in .trc .c3d .mot, which cannot say it"),
        ("angles.csv", "marked"),
    ],
)
def test_formats_without_a_mark_are_named(tmp_path, capsys, suffixes, how):
    order = np.random.default_rng(0).permutation(17)
    points = np.concatenate([POINTS, POINTS[:2][:, order]])
    source = files.arrays(tmp_path / "a.npz", points, rate=10.0)
    outs = [tmp_path / f"out.{suffix}" for suffix in suffixes.split()]
    assert run(source, "--elevation", DEGREES, "--no-deviation", "--out", *outs) == 3
    said = f"2 of 8 poses are no plausible person: {how}; --strict leaves them out; first in frame"
    assert said in capsys.readouterr().err


def test_poses_of_before_the_verdict_say_so(tmp_path):
    poses = lift(files.arrays(tmp_path / "a.npz", POINTS))
    arrays = poses._asdict()
    for name in ("misfit", "plausible", "reason"):
        del arrays[name]
    np.savez(tmp_path / "old.npz", **arrays | {"meta": json.dumps(poses.meta)})
    old = lifted.read(tmp_path / "old.npz")
    assert np.isnan(old.misfit).all() and set(old.reason) == {"not judged"}
