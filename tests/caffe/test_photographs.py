"""The network that the project carries, on a photograph that scikit-image carries."""

import json

import cv2
import numpy as np
import pytest
import skimage.data

from tools.infer import predict

# The portrait of the astronaut Eileen Collins, 512 x 512, and a box round what is in sight of her.
BOX = "60", "0", "390", "512"
# px, read off the photograph by hand, to 15 px or so.
BY_HAND = {
    "head top": (235, 45),
    "neck": (222, 195),
    "left shoulder": (290, 205),
    "right shoulder": (155, 190),
    "left elbow": (345, 345),
}
# What the network said when it was taken up, px.
RECORDED = {
    "head top": (242.8, 53.8),
    "neck": (220.7, 177.2),
    "nose": (222.4, 121.3),
    "left shoulder": (274.1, 201.5),
    "right shoulder": (162.2, 181.8),
    "left elbow": (345.8, 351.9),
}


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photograph")
    assert cv2.imwrite(str(folder / "astronaut.png"), skimage.data.astronaut()[:, :, ::-1])
    out = folder / "out.json"
    arguments = [str(folder / "astronaut.png"), "--box", *BOX, "--out", str(out)]
    assert predict.main(arguments) == 0
    document = json.loads(out.read_text())
    person = document[str(folder / "astronaut.png")]
    return dict(zip(document["landmark_names"], person["landmarks"], strict=True))


def test_what_is_in_sight_is_where_it_is(landmarks):
    for name, point in BY_HAND.items():
        assert np.linalg.norm(np.subtract(landmarks[name], point)) < 35, name


def test_the_results_are_those_recorded(landmarks):
    for name, point in RECORDED.items():
        np.testing.assert_allclose(landmarks[name], point, atol=1, err_msg=name)
