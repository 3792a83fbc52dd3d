"""How large the frames' images are."""

import cv2
import numpy as np
import pytest
from PIL import Image

from prior.errors import InputError
from python_layers.data import images
from tests import landmark_files as files
from tests.landmark_formats import yolo
from tools.lift import __main__ as tool
from tools.lift import lifted
from tools.lift.sizes import ImageSizes

POINTS = files.image_points(files.walk(3))


def image(path, width, height):
    assert cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return path


def test_what_is_said_goes_before_what_is_there(tmp_path):
    image(tmp_path / "a.png", 40, 30)
    assert ImageSizes((64.0, 48.0), tmp_path).of("a") == (64, 48)
    assert ImageSizes(None, None).of("a") is None and ImageSizes().one() is None
    assert ImageSizes(None, tmp_path / "a.png").of("any frame") == (40, 30)


@pytest.mark.parametrize("side", [0.0, 1.0, -480.0, 1e6, np.inf, np.nan])
def test_a_size_that_no_image_has_is_refused(side):
    for size in ((640.0, side), (side, 480.0)):
        with pytest.raises(InputError, match="--image-size: expected a width and a height between"):
            ImageSizes(size)


def test_of_a_folder_each_frame_has_its_own(tmp_path):
    for name, size in (("a.png", (40, 30)), ("b.jpg", (30, 40))):
        image(tmp_path / name, *size)
    (tmp_path / "c.png").write_bytes(b"no image")
    sizes = ImageSizes(None, tmp_path)
    assert sizes.of("a") == (40, 30) and sizes.of("elsewhere/b.jpg") == (30, 40)
    assert sizes.of("c") is None and sizes.of("d") is None
    with pytest.raises(InputError, match="images of one size, got 30 x 40 and 40 x 30 px"):
        sizes.one()
    (tmp_path / "b.jpg").unlink()
    # All that are there have one size: so have those that are not.
    assert ImageSizes(None, tmp_path).of("d") == (40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_on_its_side_is_as_it_is_shown(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    shown = images.read(path, turned=True).shape[1::-1]
    assert ImageSizes(None, path).one() == shown and (shown == (30, 40)) == (orientation > 4)


def test_a_video_has_one(tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    video.write(np.zeros((48, 64, 3), np.uint8))
    video.release()
    assert ImageSizes(None, tmp_path / "a.mp4").of("a_7") == (64, 48)


def test_labels_of_images_of_several_sizes(tmp_path, capsys):
    photos, labels = tmp_path / "photos", tmp_path / "labels"
    photos.mkdir()
    sizes = [(640, 480), (1280, 720), (480, 640)]
    for i, size in enumerate(sizes):
        image(photos / f"clip_{i}.png", *size)
        folder = yolo(tmp_path / f"of-{i}", POINTS, size=size)
        labels.mkdir(exist_ok=True)
        (folder / f"clip_{i}.txt").rename(labels / f"clip_{i}.txt")
    out = tmp_path / "o.npz"
    common = [labels, "--out", out, "--elevation", 10, "--no-deviation", "--images", photos]
    assert tool.main([str(a) for a in common]) == 0
    points = lifted.read(out).points
    there = np.isfinite(points)
    np.testing.assert_allclose(points[there], POINTS[there], atol=2e-3)
    assert "scaled to 640 x 480 px, and to others" in capsys.readouterr().err
    # One lens for all of them there is not.
    assert tool.main([str(a) for a in [*common, "--fov", 60]]) == 1
    assert "images of one size" in capsys.readouterr().err
    (photos / "clip_1.png").unlink()
    assert tool.main([str(a) for a in common]) == 1
    assert "first not known: of clip_1" in capsys.readouterr().err


def test_a_size_of_other_proportions_than_the_images_is_said(tmp_path):
    path = image(tmp_path / "a.png", 40, 30)
    (doubt,) = ImageSizes((30.0, 40.0), path).doubts()
    assert doubt.startswith("--image-size says 30 x 40 px for an image, --images 40 x 30")
    assert ImageSizes((30.0, 40.0), tmp_path).doubts() == [doubt]
    # Images may be smaller than what the landmarks were detected in, and nobody may say anything.
    for said in (
        ImageSizes((640.0, 479.0), path),
        ImageSizes(None, path),
        ImageSizes((30.0, 40.0)),
    ):
        assert not said.doubts()


def test_the_program_says_it_and_ends_with_3(tmp_path, capsys):
    path = image(tmp_path / "a.png", 640, 480)
    landmarks = files.coco_results(tmp_path / "a.json", POINTS)
    common = [landmarks, "--out", tmp_path / "o.npz", "--elevation", 10, "--no-deviation"]
    for size, status in (((640, 480), 0), ((480, 640), 3), ((640, 0), 1)):
        options = ["--images", path, "--image-size", *size]
        assert tool.main([str(a) for a in [*common, *options]]) == status
        assert ("--images 640 x 480" in capsys.readouterr().err) == (status == 3)
