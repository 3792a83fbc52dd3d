"""tools.evaluate and tools.report on a network with random weights and a few drawn people."""

import json
import shutil

import caffe
import numpy as np
import pytest

import prior
from prior import metrics
from prior.files import locked
from python_layers import belief_maps
from python_layers.data import annotations, crop
from tests.caffe import tiny_world
from tests.markup import MARKUP, assert_escaped
from tests.poses import random_poses
from tools.caffe_io import process as caffe_process
from tools.evaluate import __main__ as evaluate
from tools.evaluate import parts, predictions
from tools.infer.estimator import Network, annotated
from tools.report import __main__ as report
from tools.report import evaluated, figures

# Random weights put some landmarks where no person can be.
pytestmark = pytest.mark.filterwarnings("ignore:.*poses could not be lifted:UserWarning")

PROTOTXT = caffe_process.ROOT / "prototxt"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder as make leaves it: data, prior, and both networks evaluated, weights random."""
    build = tmp_path_factory.mktemp("build")
    tiny_world.write_data(build / "data", people=11)  # a whole batch and a part of one
    shutil.copy(build / "data/train.json", build / "data/test.json")
    model = prior.fit(random_poses(60), components=2, basis=3, solver="closed-form")
    model.save(build / "prior.npz")
    (build / "steps").mkdir()
    step = {"name": "data", "started": 1.0, "seconds": 2.0, "peak_memory_mb": 3}
    (build / "steps/data.json").write_text(json.dumps(step))
    for name in ("start", "cpm", "lifting"):
        folder = build / "train" / f"lite-{name}"
        folder.mkdir(parents=True)
        (folder / "loss.csv").write_text("iteration,seconds,loss\n0,1,9\n10,2,8\n")
    for name in ("cpm", "lifting"):
        folder = build / "train" / f"lite-{name}"
        deploy = PROTOTXT / f"lite/{name}/deploy.prototxt"
        text = tiny_world.adapt(deploy, prior=build / "prior.npz")
        (folder / "deploy.prototxt").write_text(text)
        caffe.set_random_seed(7)
        net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST)
        tiny_world.settle(net)
        net.save(str(folder / "final.caffemodel"))
        assert run(build, name) == 0
    weighed = build / "weighed.prototxt"
    weighed.write_text(text.replace('"subpixel": true', '"subpixel": true, "covariance": true'))
    assert run(build, "lifting", deploy=weighed, out=build / "eval/lite-weighed") == 0
    return build


def run(build, name, *more, **changed):
    folder = build / "train" / f"lite-{name}"
    paths = {
        "deploy": folder / "deploy.prototxt",
        "weights": folder / "final.caffemodel",
        "data": build / "data/test.json",
        "prior": build / "prior.npz",
        "out": build / "eval" / f"lite-{name}",
    } | changed
    return evaluate.main(
        [
            str(paths["deploy"]),
            str(paths["weights"]),
            "--data",
            str(paths["data"]),
            "--prior",
            str(paths["prior"]),
            "--training-data",
            str(build / "data/train.json"),
            "--out",
            str(paths["out"]),
            *map(str, more),
        ]
    )


def arrays_of(folder):
    """The arrays of predictions.npz."""
    with np.load(folder / "predictions.npz") as file:
        return dict(file)


def assert_same(first, second):
    """To 1e-5 of a px, and of the size of a pose."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        if array.dtype.kind == "f":
            atol = 1e-5 * (1000 if name == "poses" else 1)
            np.testing.assert_allclose(second[name], array, rtol=1e-5, atol=atol, err_msg=name)
        else:
            np.testing.assert_array_equal(second[name], array)


@pytest.mark.parametrize("views", [(), ("--scales", 0.9, 1, "--flip")], ids=["plain", "averaged"])
@pytest.mark.parametrize("name", ["cpm", "lifting"])
def test_batches_and_workers_give_the_numbers_of_one_by_one(build, tmp_path, name, views):
    run(build, name, *views, "--batch", 1, "--workers", 0, out=tmp_path / "one")
    run(build, name, *views, "--batch", 12, "--workers", 3, out=tmp_path / "many")
    assert_same(arrays_of(tmp_path / "one"), arrays_of(tmp_path / "many"))


def test_shards_and_what_was_there_make_the_whole(build, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parts, "PEOPLE", 3)  # four parts of eleven people
    out = tmp_path / "out"
    assert run(build, "lifting", "--shard", "2/3", out=out) == 0
    assert "shard 2 of 3 is done; 3 of 4 parts are missing" in capsys.readouterr().out
    assert {path.name for path in (out / "parts").iterdir()} == {"run.json", "000001.npz"}
    assert run(build, "lifting", "--shard", "1/3", out=out) == 0
    # What is there is taken as it is: of the second part, other numbers.
    with np.load(out / "parts/000001.npz") as file:
        more = {"beliefs": 0.25, "peaks": 0.25}
        changed = {name: array + more.get(name, 0) for name, array in file.items()}
    np.savez(out / "parts/000001.npz", **changed)
    assert run(build, "lifting", out=out) == 0
    assert not (out / "parts").exists()
    expected = arrays_of(build / "eval/lite-lifting")
    expected["beliefs"][:, 3:6] += 0.25
    expected["peaks"][3:6] += 0.25
    assert_same(expected, arrays_of(out))


def test_parts_of_another_run_are_removed(build, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parts, "PEOPLE", 3)
    out = tmp_path / "out"
    assert run(build, "lifting", "--shard", "1/2", "--flip", out=out) == 0
    assert run(build, "lifting", out=out) == 0
    assert "2 parts of another run removed" in capsys.readouterr().out
    assert_same(arrays_of(build / "eval/lite-lifting"), arrays_of(out))


def test_a_damaged_part_is_one_line(build, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(parts, "PEOPLE", 6)
    out = tmp_path / "out"
    assert run(build, "lifting", "--shard", "1/2", out=out) == 0
    (out / "parts/000000.npz").write_bytes(b"PK cut short")
    capfd.readouterr()
    assert run(build, "lifting", out=out) == 1
    (line,) = [x for x in capfd.readouterr().err.splitlines() if x.startswith("python -m")]
    assert "parts/000000.npz" in line


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b"])
def test_a_shard_that_is_none(build, capfd, text):
    with pytest.raises(SystemExit):
        run(build, "lifting", "--shard", text)
    assert "such as 2/4" in capfd.readouterr().err


def test_a_gpu_that_is_not_there_is_one_line(build, tmp_path, capfd):
    assert run(build, "lifting", "--gpu", 99, out=tmp_path) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("python -m tools.evaluate: --gpu 99: ")


def test_predictions_are_the_networks_one_image_at_a_time(build):
    folder = build / "train/lite-lifting"
    people = annotations.load(build / "data/test.json")
    net = caffe.Net(str(folder / "deploy.prototxt"), str(folder / "final.caffemodel"), caffe.TEST)
    with np.load(build / "eval/lite-lifting/predictions.npz") as file:
        written = dict(file)
    for i in (0, 4, 10):
        box = crop.frame(people.boxes[i], 128)
        image = people.image(i)
        net.blobs["data"].data[0] = crop.input_blob(crop.warp(image, box))
        net.blobs["center_map"].data[0] = crop.centre_map(box)
        net.blobs["camera"].data[0] = crop.camera(people.rotations[i], box, people.intrinsics[i])
        net.forward()
        maps, _ = belief_maps.argmax(net.blobs["fused_stage2"].data, subpixel=True)
        points = crop.to_image(belief_maps.to_input(maps[0], 8), box)
        np.testing.assert_allclose(written["points"][1, i], points, atol=1e-2)
        np.testing.assert_allclose(written["poses"][-2, i], net.blobs["pose"].data[0], atol=0.1)
        # The stride is 8, and the labels of lite networks have a sigma of 10 px.
        beliefs = belief_maps.covariance(net.blobs["fused_stage2"].data, maps, 10 / 8)
        scale = 8 / np.sqrt(np.linalg.det(box.matrix[:, :2]))
        np.testing.assert_allclose(written["covariance"][1, i], scale**2 * beliefs[0], rtol=1e-3)
        np.testing.assert_allclose(
            written["poses"][0, i], net.blobs["pose_stage1"].data[0], atol=0.1
        )


def test_errors_are_those_of_the_predictions(build):
    people = annotations.load(build / "data/test.json")
    errors = json.loads((build / "eval/lite-lifting/errors.json").read_text())
    with np.load(build / "eval/lite-lifting/predictions.npz") as file:
        points, poses, covariance = (file[k] for k in ("points", "poses", "covariance"))
    assert errors["images"] == 11
    distance = np.linalg.norm(points[-1] - people.points, axis=2).mean()
    assert errors["error_2d_px"] == pytest.approx(distance)
    assert errors["mpjpe_mm"] == pytest.approx(
        metrics.root_aligned(poses[-1], people.poses_mm).mean()
    )
    cameras = {"camera": people.rotations, "intrinsics": people.intrinsics}
    model = prior.load(build / "prior.npz")
    again = prior.lift(points[-1], model, covariance=covariance[-1], **cameras)
    np.testing.assert_allclose(poses[-1], again.pose, atol=0.01)
    assert len(errors["error_2d_px_by_stage"]) == 3 and len(errors["mpjpe_mm_by_stage"]) == 5
    assert errors["network_mpjpe_mm"] == errors["mpjpe_mm_by_stage"][-2]
    assert len(errors["error_over_covariance_by_stage"]) == 3
    assert errors["fusion_weight_by_stage"] == [0.5, 0.5, 0.5]
    # All tiny people stand: the best single pose is near, and true landmarks lift well.
    assert errors["mean_pose_mpjpe_mm"] < 150


def test_the_baselines_landmarks_are_lifted_afterwards(build):
    people = annotations.load(build / "data/test.json")
    errors = json.loads((build / "eval/lite-cpm/errors.json").read_text())
    with np.load(build / "eval/lite-cpm/predictions.npz") as file:
        points, covariance = file["points"], file["covariance"]
        assert "poses" not in file and "fusion" not in file
    lifted = prior.lift(
        points[-1],
        prior.load(build / "prior.npz"),
        camera=people.rotations,
        intrinsics=people.intrinsics,
        covariance=covariance[-1],
    )
    expected = metrics.root_aligned(lifted.pose, people.poses_mm).mean()
    assert errors["mpjpe_mm"] == pytest.approx(expected)
    assert "fusion_weight_by_stage" not in errors


def photographs(build, **of_person):
    """The test images as photographs are annotated: without cameras and 3D. Returns the file."""
    document = json.loads((build / "data/test.json").read_text())
    for person in document["annotations"]:
        del person["pose_mm"]
        person |= of_person
    for image in document["images"]:
        for name in ("camera", "subject", "action", "frame"):
            del image[name]
    path = build / "data/photographs.json"
    path.write_text(json.dumps(document))
    return path


def without_3d(build, name, data, out):
    folder = build / "train" / f"lite-{name}"
    paths = [folder / "deploy.prototxt", folder / "final.caffemodel"]
    return evaluate.main([*map(str, paths), "--data", str(data), "--out", str(out)])


@pytest.mark.parametrize("name", ["cpm", "lifting"])
def test_photographs_have_no_3d_truth_and_need_no_prior(build, tmp_path, name):
    data = photographs(build, area=2000)
    assert without_3d(build, name, data, tmp_path) == 0
    errors = json.loads((tmp_path / "errors.json").read_text())
    assert not [key for key in errors if "mpjpe" in key or "3d" in key]
    people = annotations.load(data)
    with np.load(tmp_path / "predictions.npz") as file:
        points, peaks = file["points"], file["peaks"]
        assert ("poses" in file) == (name == "lifting")
    distance = np.linalg.norm(points - people.points, axis=3)
    torso = np.linalg.norm(people.points[:, 1] - people.points[:, 11], axis=1)
    right = (distance <= 0.2 * torso[:, None]).mean(axis=(1, 2))
    assert errors["pck_0.2_by_stage"] == pytest.approx(list(right))
    assert errors["pck_0.2"] == pytest.approx(right[-1])
    assert ("pck_0.2_before_fusion_by_stage" in errors) == (name == "lifting")
    assert peaks.shape == (11, 17) and 0 <= errors["oks_ap"] <= 1


def test_what_3d_truth_is_needed_for_is_said_before_the_network_runs(build, tmp_path, capfd):
    data = photographs(build)
    assert run(build, "cpm", data=data) == 1
    error = capfd.readouterr().err
    assert "photographs.json: expected a 3D pose with every annotation, for --tr" in error
    assert without_3d(build, "cpm", build / "data/test.json", tmp_path) == 1
    error = capfd.readouterr().err
    assert "expected a pose model to lift with; name it by --prior" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": "none.json"}, "none.json"),
        ({"weights": "none.caffemodel"}, "none.caffemodel"),
        ({"prior": "none.npz"}, "none.npz: no such file"),
        ({"deploy": "none.prototxt"}, "none.prototxt"),
    ],
)
def test_missing_files_are_one_line(build, capfd, wrong, message):
    assert run(build, "lifting", **wrong) == 1
    error = capfd.readouterr().err.strip()
    assert message in error and error.startswith("python -m tools.evaluate: ") and "\n" not in error


def test_of_two_in_one_folder_one_has_it_and_shards_share_it(build, tmp_path, capfd):
    with locked(tmp_path):
        assert run(build, "cpm", out=tmp_path) == 1
        assert f"{tmp_path}: another process is writing it" in capfd.readouterr().err
        assert run(build, "cpm", "--shard", "1/2", out=tmp_path) == 0
    assert run(build, "cpm", out=tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.npz", "errors.json"}


def test_weights_of_another_network_are_refused(build, capfd):
    other = build / "train/lite-cpm/final.caffemodel"
    assert run(build, "lifting", weights=other) == 1
    assert "layer fusion_stage1: expected blobs [[1]]" in capfd.readouterr().err


def test_report(build, tmp_path, capsys):
    assert report.main(["--build", str(build), "--out", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "report.json").read_text())
    for name in ("mean_pose_mpjpe_mm", "test_images", "subjects", "actions"):
        assert values[name]
    assert values["steps"] == [{"name": "data", "seconds": 2.0, "peak_memory_mb": 3}]
    assert values["cpm"]["error_2d_px"] > 0
    assert len(values["lifting"]["mpjpe_mm_by_stage"]) == 5
    weighed = values["weighed"]["network_mpjpe_mm"]
    assert weighed != values["lifting"]["network_mpjpe_mm"]
    page = (tmp_path / "report.html").read_text()
    assert '<td>by belief covariance</td><td class="number">' in page and f">{weighed:.1f}<" in page
    assert "not Human3.6M" in page and "88.39" in page and page.count("<img") == 5
    # Self-contained: nothing is fetched.
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


def test_a_report_without_an_evaluation_says_what_makes_it(build, tmp_path, capsys):
    assert report.main(["--build", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "run make data" in capsys.readouterr().err


def test_figures(build, tmp_path):
    """Figure 3's projected pose is equation 5 in px of the image: near the landmarks lifted, as the
    lifting of them has it; and every figure is written in every format."""
    run = evaluated.load(build / "eval/lite-lifting", build / "data/test.json", build / "prior.npz")
    people, lifter = run.people, prior.Lifter(run.model)
    network = Network(run.network, run.weights)
    for i in (0, 7):
        staged = network.stage_maps(annotated(people, i))
        stages = len(run.predictions["points"])
        assert {len(parts) for parts in staged} == {stages}
        view = crop.frame(people.boxes[i], 128)
        camera = crop.camera(
            people.rotations[i], view, people.intrinsics[i] if people.has_camera(i) else None
        )
        for t in range(stages):
            beliefs, _ = belief_maps.argmax(staged.beliefs[t][None], True)
            points = crop.to_image(belief_maps.to_input(beliefs[0], 8), view)
            np.testing.assert_allclose(points, run.predictions["beliefs"][t, i], atol=0.1)
            expected = lifter.lift(points[None].astype(float), camera=camera[None]).projection[0]
            spread = np.linalg.norm(expected - points, axis=1).mean()
            off = np.linalg.norm(staged.projected[t] - expected, axis=1).mean()
            assert off < 1 + 0.2 * spread
            np.testing.assert_allclose(staged.poses[t], run.predictions["poses"][t, i], atol=0.1)
    assert (
        figures.main(
            [
                "--eval",
                str(build / "eval/lite-lifting"),
                "--data",
                str(build / "data/test.json"),
                "--prior",
                str(build / "prior.npz"),
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    names = {f"figure_{n}.{suffix}" for n in (2, 3, 4, 5) for suffix in ("png", "svg", "pdf")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"index.html"}
    assert (tmp_path / "out/index.html").read_text().count("data:image/png") == 4


def test_predictions_can_be_compared(build):
    """The file that evaluation writes is one that tools.evaluate.predictions reads."""
    people = annotations.load(build / "data/test.json")
    predicted = predictions.load(build / "eval/lite-lifting/predictions.npz")
    assert predicted.covariance.shape == (3, 11, 17, 2, 2)
    assert predicted.points.shape[1:] == (11, 17, 2) and predicted.poses.shape[1:] == (11, 17, 3)
    keys = zip(people.subjects, people.actions, people.camera_names, people.frames, strict=True)
    assert list(predicted.rows) == [(s, a, c.split("/")[-1], f) for s, a, c, f in keys]


def test_names_with_markup_are_text_on_both_pages(build, tmp_path):
    """Of the people, the actions and the steps, on the report's and the figures' page."""
    shutil.copytree(build, tmp_path / "build")
    for file in ("data/test.json", "eval/lite-cpm/errors.json", "eval/lite-lifting/errors.json"):
        path = tmp_path / "build" / file
        text = path.read_text().replace('"stand"', json.dumps(MARKUP))
        path.write_text(text.replace('"S1"', json.dumps(f"S1 {MARKUP}")))
    step = {"name": MARKUP, "started": 1.0, "seconds": 2.0, "peak_memory_mb": 3}
    (tmp_path / "build/steps/data.json").write_text(json.dumps(step))
    assert report.main(["--build", str(tmp_path / "build"), "--out", str(tmp_path)]) == 0
    # The subject and the action in the text, the action in a table, the step.
    assert_escaped((tmp_path / "report.html").read_text(), times=4)
    options = {
        "--eval": tmp_path / "build/eval/lite-lifting",
        "--data": tmp_path / "build/data/test.json",
        "--prior": tmp_path / "build/prior.npz",
        "--out": tmp_path / "out",
    }
    assert figures.main([str(word) for pair in options.items() for word in pair]) == 0
    assert_escaped((tmp_path / "out/index.html").read_text(), times=2)
