"""Px or shares of the image, depth or confidence, there or missing."""

import json

import cv2
import numpy as np
import pytest

from prior.landmark_sets import BODY_25, COCO, MEDIAPIPE
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.landmark_formats import controlnet
from tools.lift import __main__ as tool
from tools.lift import doubtful, keypoints, lifted
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(6))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
def test_normalised_coordinates(tmp_path, low, high):
    size = np.array([1280.0, 720.0])
    rows = files.in_set(POINTS, BODY_25)
    pixels = rows[..., :2].copy()
    rows[..., :2] = pixels / (size - 1) * (high - low) + low
    rows[rows[..., 2] == 0] = 0
    path = tmp_path / "a.json"
    frames = [{"people": [{"pose_keypoints_2d": row.ravel().tolist()}]} for row in rows]
    path.write_text(json.dumps(frames))
    with pytest.raises(KeypointError, match=rf"as if from {low} to 1: say the image's size"):
        keypoints.read(path)
    people = keypoints.read(path, How(size=lambda _: (1280, 720)))
    there = np.isfinite(people.points).all(axis=2)
    np.testing.assert_allclose(people.points[there], POINTS[there], atol=1e-6)
    assert f"coordinates from {low} to 1" in people.notes[0]


def test_the_program_takes_the_size_from_options_and_images(tmp_path):
    # Without a canvas it is OpenPose's, of shares of the way to the last pixel.
    path = controlnet(tmp_path / "a.json", POINTS, 1, (639, 479))
    frames = json.loads(path.read_text())
    for frame in frames:
        del frame["canvas_width"], frame["canvas_height"]
    path.write_text(json.dumps(frames))
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((480, 640, 3), np.uint8))
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    common = [path, "--elevation", 10, "--no-deviation"]
    for out, more in (
        (outs[0], ["--image-size", 640, 480]),
        (outs[1], ["--images", tmp_path / "image.png"]),
    ):
        assert tool.main([str(a) for a in [*common, "--out", out, *more]]) in (0, 3)
        points = lifted.read(out).points
        there = np.isfinite(points)
        np.testing.assert_allclose(points[there], POINTS[there], atol=2e-3)
    assert tool.main([str(a) for a in [*common, "--out", outs[0]]]) == 1


def test_small_pictures_are_pixels(tmp_path):
    # A person 20 px high is small, and not normalised.
    small = (POINTS - POINTS.min(axis=(0, 1))) / 20
    path = files.results(tmp_path / "a.json", files.in_set(small + 1, COCO))
    np.testing.assert_allclose(keypoints.read(path).points[:, 9], small[:, 9] + 1)


def test_depth_is_no_confidence(tmp_path):
    path = tmp_path / "a.npz"
    deep = np.concatenate([POINTS, np.full((6, 17, 1), -300.0)], axis=2)
    np.savez(path, points=deep, landmarks=LANDMARKS)
    with pytest.raises(KeypointError, match="got -300; poses in 3D"):
        keypoints.read(path)


@pytest.mark.parametrize("value", [-1, 0])
def test_markers_of_missing_landmarks(tmp_path, value):
    rows = POINTS.copy()
    rows[:, 3] = value
    path = files.arrays(tmp_path / "a.npz", rows)
    confidence = keypoints.read(path).confidence
    assert not confidence[:, 3].any() and confidence[:, [i for i in range(17) if i != 3]].all()


def test_zero_is_a_place_where_coordinates_are_negative(tmp_path):
    # Points relative to the hip: the hip itself is there.
    path = files.arrays(tmp_path / "a.npz", POINTS - POINTS[:, :1])
    assert keypoints.read(path).confidence.all()


def test_landmarks_of_an_image_of_another_size_are_said(tmp_path, capsys):
    image = tmp_path / "image.png"
    assert cv2.imwrite(str(image), np.zeros((480, 640, 3), np.uint8))
    for factor, options, status in (
        (1, ("--images", str(image)), 0),
        (3, ("--images", str(image)), 3),
        (3, ("--image-size", "640", "480"), 3),
        (3, (), 0),
    ):
        path = files.coco_results(tmp_path / "a.json", factor * POINTS)
        out = ("--out", str(tmp_path / "o.npz"), "--elevation", "10", "--no-deviation")
        assert tool.main([str(path), *out, *options]) == status
        said = "are outside the image of 640 x 480 px" in capsys.readouterr().err
        assert said == (status == 3)


def test_how_many_landmarks_may_be_outside():
    size, sure = (640.0, 480.0), np.ones((200, 17))
    random = np.random.default_rng(0)
    inside = random.uniform(0, size, (200, 17, 2))

    def said(points):
        return bool(doubtful.outside(points, sure, [size] * len(points)))

    # A quarter exactly is not yet too many; one more is.
    for count, expected in ((850, False), (851, True)):
        points = inside.reshape(-1, 2).copy()
        points[:count, 0] += 640
        assert said(points.reshape(200, 17, 2)) == expected
    # Everybody is cut off above the knees.
    cut = inside.copy()
    cut[
        :, [LANDMARKS.index(f"{s} {part}") for s in ("left", "right") for part in ("knee", "foot")]
    ] += size
    assert not said(cut)
    # The image had 1.2 times the size, and people were everywhere in it.
    assert said(1.2 * inside) and not said(inside)
    # Of landmarks that nobody is sure of, and of frames without a size, nothing is said.
    assert not doubtful.outside(2 * inside, 0.1 * sure, [size] * 200)
    assert not doubtful.outside(2 * inside, sure, [None] * 200)


def test_limbs_far_outside_the_image_do_not_make_pixels_of_shares(tmp_path):
    """A person at a desk: MediaPipe guesses knees and feet below the image."""
    rows, size = files.in_set(POINTS, MEDIAPIPE), np.array([640.0, 480.0])
    low = rows[..., 1].max()
    shares = rows.copy()
    shares[..., :2] = rows[..., :2] / size * [1, 2.6 * 480 / low]
    shares[rows[..., 2] == 0] = 0
    assert shares[..., 1].max() > 2.5
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps([{"frame": i, "landmarks": r.tolist()} for i, r in enumerate(shares)])
    )
    with pytest.raises(KeypointError, match="as if from 0 to 1: say the image's size"):
        keypoints.read(path)
    people = keypoints.read(path, How(size=lambda _: (640, 480)))
    there = np.isfinite(people.points).all(axis=2)
    expected = POINTS[there] * [1, 2.6 * 480 / low]
    np.testing.assert_allclose(people.points[there], expected, atol=1e-6)
    # Of px most are larger, though many landmarks are missing, as 0, and one is outside the image.
    pixels = POINTS.copy()
    pixels[:, LANDMARKS.index("left wrist")] = -3, 200
    pixels[
        :, [LANDMARKS.index(f"{s} {p}") for s in ("left", "right") for p in ("knee", "foot")]
    ] = 0
    path.write_text(json.dumps({"points": pixels.tolist(), "landmarks": list(LANDMARKS)}))
    expected = np.where((pixels == 0).all(axis=2, keepdims=True), np.nan, pixels)
    np.testing.assert_allclose(keypoints.read(path).points, expected)


@pytest.mark.parametrize("outside", [-2.0, -80.0])
def test_nothing_is_at_the_origin_though_a_coordinate_is_negative(tmp_path, outside):
    rows = POINTS.copy()
    rows[1, 3], rows[:, 7] = 0, 0
    rows[2, 9, 0] = outside
    confidence = keypoints.read(files.arrays(tmp_path / "a.npz", rows)).confidence
    assert not confidence[1, 3] and not confidence[:, 7].any() and confidence[2, 9]
    assert (confidence > 0).sum() == 6 * 17 - 7


def test_the_landmark_that_coordinates_are_about_is_there(tmp_path):
    rows = POINTS - POINTS[:, :1]
    rows[1, 3] = 0  # missing
    confidence = keypoints.read(files.arrays(tmp_path / "a.npz", rows)).confidence
    assert confidence[:, 0].all() and not confidence[1, 3] and (confidence > 0).sum() == 6 * 17 - 1
