"""The sequence of samples: how sources are mixed, and what is taught of people in sight."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from prior import skeleton
from python_layers import belief_maps
from python_layers.data import annotations, crop
from python_layers.data.samples import Samples

L, SIZE, STRIDE = skeleton.L, 64, 4
DATA, CENTRE, LABEL, MASK, LABEL_1, MASK_1, CAMERA = range(7)


def write(folder, grey, count, people):
    """A source of `count` images of one grey, each with these people: its Annotations."""
    folder.mkdir()
    images, records = [], []
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((120, 120, 3), grey + i, np.uint8))
        images.append({"id": i, "file_name": f"{i}.png", "width": 120, "height": 120})
        records += [{"image_id": i} | person for person in people]
    path = folder / "train.json"
    names = [{"keypoints": skeleton.LANDMARKS}]
    path.write_text(json.dumps({"categories": names, "images": images, "annotations": records}))
    return annotations.load(path)


def person(x, y, missing=(), **more):
    """All landmarks in one place, in the middle of a box of 40 px."""
    keypoints = [[x, y, 0 if i in missing else 2] for i in range(L)]
    return {"keypoints": sum(keypoints, []), "bbox": [x - 20, y - 20, 40, 40]} | more


def parameters(**more):
    return SimpleNamespace(
        **{
            "batch_size": 1,
            "input_size": SIZE,
            "stride": STRIDE,
            "sigma": 6.0,
            "augment": False,
            "shuffle": None,
            "seed": 3,
        }
        | more
    )


def batch(samples, position=0):
    """What `samples` gives from a position on: its arrays, and the damaged images."""
    count, cells = samples.parameters.batch_size, SIZE // STRIDE
    maps, mask = (L + 1, cells, cells), (L + 1,)
    shapes = [(3, SIZE, SIZE), (1, SIZE, SIZE), maps, mask, maps, mask, (3, 3)]
    arrays = [np.empty((count, *shape), np.float32) for shape in shapes]
    return arrays, samples.batch(position, arrays)


def sample(people, position=0, **more):
    arrays, damaged = batch(Samples([(people, 1)], parameters(**more)), position)
    assert not damaged
    return [array[0] for array in arrays]


# Mixed sources --------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path):
    sources = [
        (write(tmp_path / "a", 10, 5, [person(60, 60)]), 3),
        (write(tmp_path / "b", 110, 2, [person(60, 60)]), 1),
        (write(tmp_path / "c", 210, 3, [person(60, 60)]), 2),
    ]
    return lambda **more: Samples(sources, parameters(**more))


def test_each_source_has_its_share_of_every_block_and_its_own_sequence(mixed):
    places = [mixed().place(position) for position in range(60)]
    sources = np.array([source for source, _ in places]).reshape(10, 6)
    for block in sources:
        assert np.bincount(block).tolist() == [3, 1, 2]
    assert len({tuple(block) for block in sources}) > 5
    for source in range(3):
        own = [place for s, place in places if s == source]
        assert own == list(range(len(own)))


def test_a_place_is_a_function_of_the_position_and_the_seed(mixed):
    samples, positions = mixed(), np.random.default_rng(0).permutation(60).tolist()
    places = [samples.place(position) for position in range(60)]
    assert [samples.place(position) for position in positions] == [places[p] for p in positions]
    assert [mixed(seed=4).place(position) for position in range(60)] != places


def test_each_epoch_of_each_source_has_each_image_once(mixed):
    samples = mixed(shuffle=True, batch_size=6)
    order = []
    for position in range(0, 60, 6):
        arrays, damaged = batch(samples, position)
        assert damaged == []
        middle = arrays[DATA][:, 0, SIZE // 2, SIZE // 2] * 256 + 128
        order += np.rint(middle).astype(int).tolist()
    first = [grey - 10 for grey in order if grey < 100]
    assert all(sorted(first[i : i + 5]) == list(range(5)) for i in range(0, 30, 5))
    assert len({tuple(first[i : i + 5]) for i in range(0, 30, 5)}) > 3
    assert sorted(grey for grey in order if 100 < grey < 200) == [110] * 5 + [111] * 5


def test_a_damaged_image_gives_its_place_to_the_next_of_its_own_source(mixed, tmp_path):
    (tmp_path / "b/0.png").write_bytes(b"")
    arrays, damaged = batch(mixed(batch_size=12))
    ((file, reason),) = damaged
    assert file.endswith("b/0.png") and "expected an image" in reason
    middle = np.rint(arrays[DATA][:, 0, SIZE // 2, SIZE // 2] * 256 + 128)
    assert np.count_nonzero(middle == 111) == 2  # once in each of two blocks


# People in sight ------------------------------------------------------------------------------


def test_a_missing_landmark_and_then_the_background_are_not_judged(tmp_path):
    whole = sample(write(tmp_path / "a", 90, 1, [person(60, 60)]))
    assert (whole[MASK] == 1).all()
    got = sample(write(tmp_path / "b", 90, 1, [person(60, 60, missing=[2, 5])]))
    np.testing.assert_array_equal(got[MASK], [i not in (2, 5, L) for i in range(L + 1)])
    assert not got[LABEL][[2, 5, L]].any()
    np.testing.assert_array_equal(got[LABEL][3], whole[LABEL][3])


def test_a_flip_moves_the_mask_to_the_other_side(tmp_path):
    people = write(tmp_path / "a", 90, 1, [person(60, 60, missing=[2])])
    masks = {tuple(sample(people, p, augment=True)[MASK]) for p in range(20)}
    mirrored = int(skeleton.MIRROR[2])
    assert mirrored != 2
    assert masks == {tuple(float(i not in (j, L)) for i in range(L + 1)) for j in (2, mirrored)}


def test_stage_1_is_taught_everyone_in_sight_and_the_others_one(tmp_path):
    people = write(tmp_path / "a", 90, 1, [person(60, 60), person(80, 60, context=True)])
    got = sample(people)
    alone = sample(write(tmp_path / "b", 90, 1, [person(60, 60)]))
    np.testing.assert_array_equal(got[LABEL], alone[LABEL])
    second = sample(write(tmp_path / "c", 90, 1, [person(60, 60) | {"bbox": [20, 40, 40, 40]}]))
    np.testing.assert_array_equal(got[LABEL_1][:L], np.maximum(alone[LABEL], second[LABEL])[:L])
    np.testing.assert_allclose(got[LABEL_1][L], 1 - got[LABEL_1][:L].max(axis=0), atol=1e-6)
    assert (got[MASK_1] == 1).all()


def test_what_another_person_lacks_is_not_judged_in_stage_1(tmp_path):
    near = person(80, 60, missing=[4], context=True)
    got = sample(write(tmp_path / "a", 90, 1, [person(60, 60), near]))
    assert (got[MASK] == 1).all()
    np.testing.assert_array_equal(got[MASK_1], [i not in (4, L) for i in range(L + 1)])
    away = person(60 + 40, 110, missing=[4], context=True)  # beyond the input's border
    got = sample(write(tmp_path / "b", 90, 1, [person(60, 60), away]))
    assert (got[MASK_1] == 1).all()


def test_labels_of_one_person_are_the_rendered_maps():
    rng = np.random.default_rng(0)
    points = rng.uniform(-3, 18, size=(1, L, 2))
    maps, mask = belief_maps.labels(points, 16, 1.3)
    np.testing.assert_array_equal(maps, belief_maps.render(points, 16, 16, 1.3)[0])
    assert mask.all()  # outside, and known to be there


def test_colours_and_hidden_parts_reach_the_input(tmp_path):
    people = write(tmp_path / "a", 100, 1, [person(60, 60)])
    plain = {"scale": [1, 1], "degrees": 0}
    centre = np.s_[:, 28:36, 28:36]
    greys = {
        round(float(sample(people, p, augment=plain)[DATA][centre].mean()), 4) for p in range(10)
    }
    assert greys == {round((100 - 128) / 256, 4)}
    coloured = [sample(people, p, augment=plain | {"colour": 0.2})[DATA] for p in range(10)]
    assert np.std([image[centre].mean() for image in coloured]) > 0.01
    hidden = [sample(people, p, augment=plain | {"occlusion": 1})[DATA] for p in range(10)]
    assert all((image == 0).all(axis=0).any() for image in hidden)


@pytest.mark.parametrize("side", [130, 250, 700])
def test_a_reduced_image_gives_the_same_input(tmp_path, side):
    """A JPEG that shrinks is decoded to a part of its pixels: the network sees the same person in
    the same place, within a grey level or two."""
    folder = tmp_path / "photograph"
    write(folder, 0, 1, [person(60, 60) | {"bbox": [450 - side / 2] * 2 + [side] * 2}])
    whole = load_sample_images().images[0][:, :427, ::-1]
    cv2.imwrite(str(folder / "0.jpg"), cv2.resize(whole, (900, 900)))
    document = json.loads((folder / "train.json").read_text())
    document["images"] = [{"id": 0, "file_name": "0.jpg", "width": 900, "height": 900}]
    (folder / "train.json").write_text(json.dumps(document))
    people = annotations.load(folder / "train.json")
    square = crop.frame(people.boxes[0], SIZE)
    small, part = people.reduced(0, crop.block(square.matrix))
    assert part > 1 and len(small) == -(-900 // part)
    (data, *_), damaged = batch(Samples([(people, 1)], parameters()))
    assert not damaged
    expected = crop.input_blob(crop.warp(people.image(0), square))
    assert (data[0] != expected).any()  # or the layer decoded all of its pixels
    assert 256 * np.abs(data[0] - expected).mean() < 1.5
