"""Where a scan looks, and whom it finds, by a network that sees marks of known colours."""

import cv2
import numpy as np
import pytest

from prior.errors import InputError
from prior.skeleton import HUMAN36M, L
from python_layers.data import crop
from tools.infer import networks
from tools.infer.scan import scan, squares
from tools.infer.staged import Staged

STRIDE = 8


class Marks(Staged):
    """Stands for a Network: landmark i is where the image is as blue as 40 + 12 i, and most sure in
    the middle of the input, as those of a pose machine are."""

    def __init__(self):
        super().__init__(["beliefs_stage1"], HUMAN36M)
        self.size, self.stride = 128, STRIDE

    def run(self, inputs, names):
        cells = self.size // STRIDE
        maps = np.zeros((len(inputs), L + 1, cells, cells), np.float32)
        away = np.hypot(*np.meshgrid(*2 * [np.linspace(-0.5, 0.5, cells)]))
        sure = np.exp(-0.5 * (away / 0.35) ** 2)
        for k, (data, _, _) in enumerate(inputs):
            blue = data[0] * 256 + crop.GREY
            for i in range(L):
                block = (np.abs(blue - (40 + 12 * i)) < 3).astype(np.float32)
                share = cv2.resize(block, (cells, cells), interpolation=cv2.INTER_AREA)
                maps[k, i] = sure * np.minimum(6 * share, 1)
        return {name: maps for name in names}


def picture(*people, size=(400, 500)):
    """A grey image (H, W) with marks of people: (x, y, height), px, of their boxes."""
    image = np.zeros((*size, 3), np.uint8)
    image[...] = 255
    rng = np.random.default_rng(4)
    places = rng.permutation([(x, y) for x in (0, 0.33) for y in np.linspace(0, 1, 9)])[:L]
    for x, y, height in people:
        for i, place in enumerate(places):
            at = np.round([x, y] + height * place).astype(int)
            reach = max(2, round(0.03 * height))
            image[max(0, at[1] - reach) : at[1] + reach, max(0, at[0] - reach) : at[0] + reach] = [
                40 + 12 * i,
                0,
                0,
            ]
    return image


def middle(person):
    return person.box[:2] + person.box[2:] / 2


@pytest.mark.parametrize("person", [(60, 40, 320), (250, 120, 200), (180, 30, 350)])
def test_a_person_of_any_place_and_size_gets_a_box(person):
    x, y, height = person
    people = scan(Marks(), picture(person))
    assert np.abs(middle(people[0]) - [x + 0.165 * height, y + height / 2]).max() < 0.12 * height
    assert 0.8 * height < people[0].box[2:].max() < 1.6 * height


def test_several_people_are_all_there():
    people = scan(Marks(), picture((30, 60, 250), (330, 80, 260)))
    assert len(people) == 2
    assert sorted(round(middle(person)[0] / 100) for person in people) == [1, 4]
    assert people[0].score >= people[1].score


@pytest.mark.parametrize("image", [picture(), np.zeros((1, 1, 3), np.uint8), picture()[:2]])
def test_nobody_is_nobody(image):
    assert scan(Marks(), image) == []


def test_the_squares_cover_the_image():
    """Every place of an image has squares of every size round it, overlapping by half."""
    boxes = np.array(list(squares(900, 600)))
    assert np.unique(boxes[:, 2].round()).size == 5
    for side in np.unique(boxes[:, 2]):
        own = boxes[boxes[:, 2] == side]
        for x, y in np.random.default_rng(0).uniform([0, 0], [900, 600], (50, 2)):
            apart = np.abs(own[:, :2] + side / 2 - [x, y]).max(axis=1)
            assert apart.min() <= side / 2 + 1


# Which network ----------------------------------------------------------------------------------


def test_a_network_is_told_from_images(tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "network.json").write_text("{}")
    deploy, weights, photo = (tmp_path / n for n in ("a.prototxt", "a.caffemodel", "a.jpg"))
    assert networks.choose([deploy, weights, photo]) == ((deploy, weights), [photo])
    assert networks.choose([folder, photo, photo]) == ((folder,), [photo, photo])
    with pytest.raises(InputError, match="expected its weights next"):
        networks.choose([deploy, photo])
    with pytest.raises(InputError, match="expected images"):
        networks.choose([deploy, weights])


def test_without_a_network_it_is_the_one_that_comes_with_the_project(tmp_path, monkeypatch):
    files = tuple(tmp_path / name for name in ("deploy.prototxt", "photographs.caffemodel"))
    monkeypatch.setattr(networks, "SHIPPED", files)
    with pytest.raises(InputError, match="deploy.prototxt: not there, the network that comes"):
        networks.choose([tmp_path / "a.jpg"])
    for file in files:
        file.write_text("")
    assert networks.choose([tmp_path / "a.jpg"]) == (files, [tmp_path / "a.jpg"])
