"""The data layer: what it gives, and what it does when things break."""

import json
import os
import signal
import time
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest

from prior import camera as cameras
from prior.skeleton import L
from python_layers import belief_maps
from python_layers.data import annotations, crop
from python_layers.pose_data import RADIX
from tests import cpm_lmdb
from tests.caffe.layer_net import net, python_layer
from tests.caffe.seven_people import BATCH, FIXED, PEOPLE, TOPS, write_people
from tools.train.__main__ import check_inputs

SIZE = 64


@pytest.fixture
def source(tmp_path):
    return write_people(tmp_path)


@pytest.fixture
def make(tmp_path):
    """Makes nets of one data layer, and ends their workers after the test."""
    made = []

    def make(source, phase=caffe.TRAIN, tops=TOPS, **parameters):
        parameters = {
            "source": source,
            "batch_size": BATCH,
            "input_size": SIZE,
            "stride": 4,
            "augment": True,
            "seed": 3,
            "workers": 0,
        } | parameters
        layer = python_layer("pose_data", "PoseDataLayer", parameters, (), tops, FIXED, "people")
        made.append(net(tmp_path, layer, phase=phase))
        return made[-1]

    yield make
    for data in made:
        data.layers[0].stop()


def batches(data, count):
    result = []
    for _ in range(count):
        data.forward()
        result.append({name: data.blobs[name].data.copy() for name in TOPS})
    return result


def assert_same(ours, others):
    assert len(ours) == len(others)
    for one, other in zip(ours, others, strict=True):
        for name in TOPS:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_batch_without_augmentation_is_the_slow_one(source, make):
    got = batches(make(source, augment=False), 3)
    people = annotations.load(source)
    for position in range(3 * BATCH):
        batch = {name: blob[position % BATCH] for name, blob in got[position // BATCH].items()}
        i = position % PEOPLE
        view = crop.frame(people.boxes[i], SIZE)
        image = crop.warp(cv2.imread(people.files[i]), view)
        np.testing.assert_array_equal(batch["data"], crop.input_blob(image))
        points = (view.matrix @ np.column_stack([people.points[i], np.ones(L)]).T).T
        sigma = 7 * SIZE / 368 / 4
        label = belief_maps.render((points[None] - 1.5) / 4, 16, 16, sigma)[0]
        label[-1] = 0  # landmark i is missing, so the background is not known
        np.testing.assert_allclose(batch["label"], label, atol=1e-5)
        assert not label[i].any() and label[(i + 1) % L].any()
        np.testing.assert_array_equal(batch["mask"], [j not in (i, L) for j in range(L + 1)])
        for name in "label", "mask":  # alone in the picture
            np.testing.assert_array_equal(batch[name], batch[f"{name}_stage1"])
        np.testing.assert_array_equal(batch["center_map"][0], crop.centre_map(view))
        expected = cameras.LEVEL
        if i % 2:
            expected = cameras.toward(people.rotations[i], people.intrinsics[i], [60, 45])
        np.testing.assert_allclose(batch["camera"], expected, atol=1e-6)


def test_the_order_and_the_augmentations_do_not_depend_on_the_workers(source, make):
    alone = batches(make(source, workers=0), 12)
    for workers in 1, 2:
        assert_same(batches(make(source, workers=workers), 12), alone)


def shades(read):
    """The number of the image at each position: its grey, beside the crop's border."""
    data = np.concatenate([batch["data"] for batch in read])
    corner = data[:, 0, SIZE // 2, SIZE // 4] * 256 + 128
    return np.rint((corner - 20) / 30).astype(int)


def test_each_epoch_has_each_image_once_in_an_order_of_its_own(source, make):
    order = shades(batches(make(source, augment=False, shuffle=True, workers=1), 7))
    epochs = order.reshape(3, PEOPLE)
    assert (np.sort(epochs, axis=1) == np.arange(PEOPLE)).all()
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
    other = shades(batches(make(source, augment=False, shuffle=True, seed=4), 7))
    assert (order != other).any()
    in_order = shades(batches(make(source, augment=False), 7))
    np.testing.assert_array_equal(in_order, np.tile(np.arange(PEOPLE), 3))


def test_an_image_is_augmented_anew_in_each_epoch(source, make):
    read = batches(make(source, shuffle=False, augment={}), 7)  # {}: all of CPM's ranges
    labels = np.concatenate([batch["label"] for batch in read])
    assert not np.array_equal(labels[0], labels[PEOPLE])


def test_augmented_labels_follow_the_picture(source, make):
    """The white square's corners as landmarks: wherever it lands, the label is there."""
    document = json.loads(Path(source).read_text())
    for person in document["annotations"]:
        person["keypoints"] = [55, 35, 2] * L
    Path(source).write_text(json.dumps(document))
    checked = 0
    for batch in batches(make(source, sigma=6.0), 10):
        points, peak = belief_maps.argmax(batch["label"], subpixel=True)
        for image, point, value in zip(batch["data"], points[:, 0], peak[:, 0], strict=True):
            x, y = belief_maps.to_input(point, 4)
            if value < 0.5 or not (12 < x < SIZE - 12 and 12 < y < SIZE - 12):
                continue  # the square is not whole inside
            light = np.clip(image[0] - 0.45, 0, None)
            rows, columns = np.mgrid[:SIZE, :SIZE]
            centre = [(light * g).sum() / light.sum() for g in (columns, rows)]
            np.testing.assert_allclose([x, y], centre, atol=1.0)
            checked += 1
    assert checked > 15


def test_ranges_of_the_augmentation_are_kept(source, make):
    still = {"scale": [1.0, 1.0], "degrees": 0, "shift": 0}
    plain = batches(make(source, augment=False, shuffle=True), 7)
    flipped = 0
    for batch, same in zip(batches(make(source, augment=still), 7), plain, strict=True):
        for image, expected in zip(batch["data"], same["data"], strict=True):
            mirrored = not np.array_equal(image, expected)
            flipped += mirrored
            np.testing.assert_allclose(image[..., ::-1] if mirrored else image, expected, atol=0.02)
    assert 0 < flipped < 7 * len(plain[0]["data"])


def test_workers_make_what_comes_next_and_nothing_twice(source, make):
    data = make(source, workers=2)
    for i in range(1, 6):
        data.forward()
        ahead = [position for _, _, position in data.layers[0].batches._pending]
        assert ahead == [BATCH * (i + j) for j in range(4)]


# Position and resuming ------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_the_blob_is_the_position_and_can_be_set(source, make, workers):
    data = make(source, workers=workers)
    all_ = batches(data, 8)
    np.testing.assert_array_equal(data.params["people"][0].data, [0, 8 * BATCH])
    data.params["people"][0].data[...] = [0, 2 * BATCH]  # as reading a snapshot does
    assert_same(batches(data, 4), all_[2:6])


def test_the_position_outlives_float32(source, make):
    data = make(source)
    data.params["people"][0].data[...] = [40, RADIX - 2]
    data.forward()
    np.testing.assert_array_equal(data.params["people"][0].data, [41, 1])


@pytest.mark.parametrize("bad", [[0, 2.5], [-1, 0], [np.nan, 0], [0, RADIX]])
def test_a_position_that_a_solver_changed_is_an_error(source, make, bad):
    data = make(source)
    data.params["people"][0].data[...] = bad
    with pytest.raises(ValueError, match="PoseDataLayer: .*lr_mult: 0 decay_mult: 0"):
        data.forward()


def test_a_test_net_of_the_same_name_has_a_position_of_its_own(source, make):
    train, test = make(source), make(source, phase=caffe.TEST, augment=False, workers=1)
    test.share_with(train)
    expected = batches(make(source), 4)
    in_order = batches(make(source, augment=False), 4)
    for i in range(4):
        assert_same(batches(train, 1), expected[i : i + 1])
        assert_same(batches(test, 1), in_order[i : i + 1])


def test_an_interrupt_from_the_terminal_is_for_the_program_alone(source, make):
    data = make(source, workers=2)
    expected = batches(make(source), 6)
    got = batches(data, 3)
    for worker in data.layers[0].batches._workers:
        os.kill(worker.process.pid, signal.SIGINT)
        os.kill(worker.process.pid, signal.SIGHUP)
    assert_same(got + batches(data, 3), expected)


# What breaks ----------------------------------------------------------------------------------


def test_a_worker_that_died_is_an_error(source, make):
    data = make(source, workers=2)
    data.forward()
    os.kill(data.layers[0].batches._workers[1].process.pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="PoseDataLayer: worker process .* died .signal 9."):
        for _ in range(8):
            data.forward()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_gives_its_place_to_the_next(source, make, workers, capfd):
    expected = shades(batches(make(source, augment=False), 7))
    folder = Path(source).parent
    whole = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "6.jpg").write_bytes(b"")
    data = make(source, augment=False, workers=workers)
    capfd.readouterr()
    order = shades(batches(data, 7))
    np.testing.assert_array_equal(order, np.where(expected == 2, 3, expected) % 6)
    lines = [line for line in capfd.readouterr().err.splitlines() if "PoseDataLayer" in line]
    assert len(lines) == 2 and len(data.layers[0].damaged) == 2
    assert "2.jpg: expected a whole JPEG, got one cut short" in lines[0] and "6.jpg" in lines[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_no_readable_image_is_an_error(source, make, workers):
    data = make(source, workers=workers)
    for image in Path(source).parent.glob("*.jpg"):
        image.write_bytes(b"no image")
    with pytest.raises(RuntimeError, match="PoseDataLayer: .*none of its 7 images can be read"):
        data.forward()


BAD = [
    ({"source": "no/such.json"}, "PoseDataLayer: source: no/such.json: no such file.*make data"),
    ({"source": None}, "PoseDataLayer: param_str: source: expected str or dict, got null"),
    ({"source": {}}, "source: expected a file, or files with whole shares"),
    ({"source": {"a.json": 0.5}}, "source: expected a file, or files with whole shares"),
    ({"source": {"no/such.json": 2}}, "PoseDataLayer: source: no/such.json: no such file"),
    ({"batch_size": 0}, "batch_size: expected at least 1"),
    ({"workers": 100_000}, "workers: expected at most"),
    ({"batch_size": "8"}, 'batch_size: expected int, got "8"'),
    ({"input_size": 66}, "input_size: expected a multiple of the stride 4"),
    ({"sigma": -1}, "sigma: expected > 0"),
    ({"seed": -1}, "seed: expected 0 or more"),
    ({"workers": -1}, "workers: expected 0 or more"),
    ({"augment": 1}, "augment: expected bool or dict, got 1"),
    ({"augment": {"scale": 0.9}}, 'augment: expected true, false or some of {"scale": .*"shift":'),
    ({"augment": {"scale": [1.1, 0.9]}}, "augment: expected true"),
    ({"augment": {"degree": 10}}, 'augment: expected true.*got {"degree": 10}'),
    ({"augment": {"shift": "far"}}, "augment: expected true"),
    ({"shuffle": "no"}, "shuffle: expected bool or null"),
    ({"batchsize": 8}, "PoseDataLayer: param_str: batchsize: unknown key"),
]


@pytest.mark.parametrize("parameters, message", BAD)
def test_bad_parameters(source, make, parameters, message):
    with pytest.raises(ValueError, match=message):
        make(**({"source": source} | parameters))


def test_tops_from_the_end_may_be_left_out(source, make):
    data = make(source, tops=TOPS[:4])
    data.forward()
    assert list(data.blobs) == ["data", "center_map", "label", "mask"]
    with pytest.raises(ValueError, match="expected 4 or 6 or 7 tops, got 2"):
        make(source, tops=TOPS[:2])


def test_a_missing_landmark_gives_no_gradient(tmp_path, source, make):
    """The loss as the networks have it: maps times mask against the label."""
    parameters = {"source": source, "batch_size": BATCH, "input_size": 32, "workers": 0}
    loss = net(
        tmp_path,
        python_layer("pose_data", "PoseDataLayer", parameters, (), TOPS[:4], FIXED, "people"),
        'layer { name: "maps" type: "Convolution" bottom: "data" top: "maps" convolution_param { '
        'num_output: 18 kernel_size: 8 stride: 8 weight_filler { type: "gaussian" std: 0.01 } } }\n'
        'layer { name: "known" type: "Scale" bottom: "maps" bottom: "mask" top: "known" '
        "scale_param { axis: 0 } }\n"
        'layer { name: "loss" type: "EuclideanLoss" bottom: "known" bottom: "label" top: "loss" }',
        to_inputs=False,
    )
    loss.forward()
    loss.backward()
    maps, label, mask = (loss.blobs[name].data for name in ("maps", "label", "mask"))
    expected = (maps - label) * mask[:, :, None, None] / BATCH
    np.testing.assert_allclose(loss.blobs["maps"].diff, expected, atol=1e-7)
    judged = np.abs(loss.blobs["maps"].diff).max(axis=(2, 3)) > 0
    np.testing.assert_array_equal(judged, mask > 0)
    assert not judged[[0, 1, 2], [0, 1, 2]].any() and judged.sum() == BATCH * 16


def test_the_folder_of_an_lmdb_is_a_source(tmp_path, make):
    """As of a file: the layer reads it, and a training notes what is in it."""
    rng = np.random.default_rng(0)
    value = cpm_lmdb.record(cpm_lmdb.picture(rng), "MPI", [cpm_lmdb.person(rng)])
    folder = str(cpm_lmdb.write(tmp_path / "lmdb", value))
    made = make(folder)
    made.forward()
    assert np.ptp(made.blobs["data"].data[0]) > 0.5
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "data" type: "Python" python_param { module: "python_layers.pose_data" '
        f"param_str: '{json.dumps({'source': folder})}' }} }}"
    )
    assert check_inputs(path) == {folder: annotations.digest(folder)}
