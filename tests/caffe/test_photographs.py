"""The network that the project carries, on photographs that Python packages carry."""

import json
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
import skimage.data

from prior import show
from prior.skeleton import LANDMARKS
from tools.infer import predict

PICTURES = Path("build/screenshots")
# The portrait of the astronaut Eileen Collins, 512 x 512, and a box round what is in sight of her.
BOX = "60", "0", "390", "512"
# px, read off the photograph by hand, to 15 px or so. The elbows are behind a helmet and in folds.
BY_HAND = {
    "head top": (235, 45),
    "neck": (222, 195),
    "left shoulder": (290, 205),
    "right shoulder": (155, 190),
}
# What the network said when it was taken up, px.
RECORDED = {
    "head top": (234.4, 52.5),
    "neck": (213.2, 179.3),
    "nose": (219.3, 125.0),
    "left shoulder": (287.6, 206.2),
    "right shoulder": (150.6, 183.0),
    "left elbow": (341.2, 304.0),
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Of a woman from the waist up, of a man behind a camera, grey, and of a cup of coffee."""
    folder = tmp_path_factory.mktemp("photographs")
    assert cv2.imwrite(str(folder / "astronaut.png"), skimage.data.astronaut()[:, :, ::-1])
    assert cv2.imwrite(str(folder / "cameraman.png"), skimage.data.camera())
    assert cv2.imwrite(str(folder / "coffee.png"), skimage.data.coffee()[:, :, ::-1])
    return folder


def predicted(out, *arguments, status=0):
    """{the name of a photograph: what tools.infer.predict says of it}."""
    assert predict.main([*map(str, arguments), "--out", str(out)]) == status
    document = json.loads(out.read_text())
    assert document.pop("landmark_names")[0] == "hip"
    return {Path(name).name: person for name, person in document.items()}


@pytest.fixture(scope="module")
def landmarks(photographs):
    path = photographs / "astronaut.png"
    (person,) = predicted(photographs / "boxed.json", path, "--box", *BOX).values()
    return dict(zip(LANDMARKS, person["landmarks"], strict=True))


def test_what_is_in_sight_is_where_it_is(landmarks):
    for name, point in BY_HAND.items():
        assert np.linalg.norm(np.subtract(landmarks[name], point)) < 40, name


def test_the_results_are_those_recorded(landmarks):
    for name, point in RECORDED.items():
        np.testing.assert_allclose(landmarks[name], point, atol=1, err_msg=name)


def test_people_are_scanned_for_and_lifted_or_nobody_is_found(photographs, capsys):
    """Draws what it says, too: to be looked at."""
    people = predicted(photographs / "scanned.json", photographs, status=3)
    assert "coffee.png: nobody was found" in capsys.readouterr().err
    figure, axes = plt.subplots(2, 2, figsize=(7, 8), layout="constrained")
    for (image, pose), (name, person) in zip(axes.T, people.items(), strict=True):
        image.imshow(cv2.imread(str(photographs / name))[:, :, ::-1])
        show.draw_points(image, np.array(person["landmarks"]), linewidth=2)
        image.set_title(f"{name}, {person['score']:.2f}")
        show.draw_pose(pose, np.array(person["pose_mm"]), 0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / "photographs.png")
    plt.close(figure)
    # The head's middle, by hand: in the box that the scan put round the person.
    for name, head in {"astronaut.png": (225, 120), "cameraman.png": (215, 130)}.items():
        x, y, width, height = people[name]["box"]
        assert x < head[0] < x + width and y < head[1] < y + height, name
