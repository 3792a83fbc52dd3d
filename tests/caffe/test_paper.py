"""`make paper` from the archives of a miniature Human3.6M to the tables, with the lite networks."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from scipy.spatial.transform import Rotation

from prior.mocap.human36m import Y_UP
from prior.skeleton import PROTOCOL_14
from tests import human36m
from tools.caffe_io import process as caffe_process
from tools.paper import __main__ as paper

pytestmark = pytest.mark.slow

ROOT = caffe_process.ROOT
BARE = {"HOME": os.path.expanduser("~"), "PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "2"}
NETS = ("lite/cpm", "lite/lifting")
MPII_MAPS = 15  # 14 landmarks and the background, as CPM is released


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone with the virtual environment, the dataset in h36m/ and cpm.caffemodel."""
    tree = tmp_path_factory.mktemp("clone") / "tree"
    skipped = shutil.ignore_patterns("build", ".git", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, tree, ignore=skipped)
    (tree / "build").mkdir()
    (tree / "build/venv").symlink_to(ROOT / "build/venv")
    human36m.write(tree / "h36m", tree / "scratch")
    write_weights(tree / "cpm.caffemodel")
    return tree


def write_weights(path):
    """Weights of the lite pose machine for MPII's landmarks: all layers but those with maps fit."""
    text = (ROOT / "prototxt/lite/cpm/deploy.prototxt").read_text()
    (path.parent / "shapes.prototxt").write_text(text)
    shapes = caffe_process.dry_run(path.parent / "shapes.prototxt")
    net, rng = caffe_pb2.NetParameter(), np.random.default_rng(0)
    for name, blobs in shapes.items():
        layer = net.layer.add(name=name, type="Convolution")
        for shape in blobs:
            shape = [MPII_MAPS if n == 18 else n for n in shape]
            blob = layer.blobs.add()
            blob.shape.dim.extend(shape)
            # Normalisation: mean and variance 1. Convolutions: signals neither grow nor fade.
            scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0
            values = rng.normal(0, scale, shape) if scale else np.ones(shape)
            blob.data.extend(values.ravel().tolist())
    path.write_bytes(net.SerializeToString())


@pytest.fixture(scope="module")
def made(tree):
    """What `make paper` said, which leaves the tables in the tree."""
    result = make(tree, "paper")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def make(tree, *arguments, h36m="h36m", cpm="cpm.caffemodel", **options):
    words = {"H36M": h36m, "CPM": cpm, "NET": " ".join(NETS), "ITERATIONS": 2, "SCALES": 1.1}
    words |= {"CAFFE_ROOT": caffe_process.caffe_root()} | options
    return subprocess.run(
        ["make", *arguments, *(f"{name}={value}" for name, value in words.items())],
        cwd=tree,
        env=BARE,
        capture_output=True,
        text=True,
        check=False,
    )


def data_and_results(tree):
    """What make paper leaves, apart from what it sets up."""
    return sorted(p for name in ("h36m", "train", "eval") for p in tree.glob(f"build/{name}/*"))


def last_line(result):
    """The line of ours that a refused run of make ends with, before make's own."""
    assert result.returncode, result.stdout
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("python -m")]
    return line


def test_what_cannot_end_well_is_refused_at_once(tree, capsys):
    """One line, and nothing is made."""
    other = caffe_pb2.NetParameter()
    blob = other.layer.add(name="fc6", type="InnerProduct").blobs.add(data=[1.0])
    blob.shape.dim.append(1)
    (tree / "other.caffemodel").write_bytes(other.SerializeToString())
    lacking = tree / "lacking"
    shutil.copytree(tree / "h36m", lacking)
    (lacking / "Poses_D3_Positions_S7.tgz").unlink()
    (lacking / "Videos_S11.tgz").unlink()
    cut = tree / "cut"
    shutil.copytree(tree / "h36m", cut)
    os.truncate(cut / "Poses_D2_Positions_S9.tgz", 5000)
    before = data_and_results(tree)
    good = {"h36m": tree / "h36m", "start": tree / "cpm.caffemodel", "net": NETS[0]}
    for options, said in (
        ({"h36m": "none"}, "H36M=none: expected the folder of Human3.6M"),
        ({"h36m": tree / "cut"}, "Poses_D2_Positions_S9.tgz: expected an archive, got one cut"),
        ({"start": "none"}, "CPM=none: expected the .caffemodel to start from"),
        ({"start": tree / "other.caffemodel"}, "of prototxt/lite/cpm, by name and shape, got fc6"),
        ({"net": "lite/none"}, "NET=lite/none: expected a network of prototxt/"),
    ):
        words = [f"--{name}={value}" for name, value in (good | options).items()]
        assert paper.main(["check", f"--data={tree}/build/h36m", *words]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    # And so by make.
    for options, said in (
        ({"h36m": "lacking"}, "lacking: 2 parts of Human3.6M are missing"),
        ({"cpm": ""}, "CPM=: expected the .caffemodel"),
        ({"GPU": 7}, "--gpu 7: "),
    ):
        result = make(tree, "paper", **options)
        assert said in last_line(result)
        if options.get("h36m"):
            missing = [line for line in result.stderr.splitlines() if "missing: " in line]
            assert "S7: MyPoseFeatures/D3_Positions" in missing[0] and "S11: Videos" in missing[1]
    assert data_and_results(tree) == before


def test_from_archives_to_tables(tree, made):
    # What each stage needs is said before it.
    for said in ("Human3.6M into", "fit of the prior to 455 poses", "training of lite/lifting, 2"):
        assert f"paper: {said}" in made
    assert "evaluation of lite/cpm, 239 images at 1 scale\n" in made
    for name in (
        *(f"h36m/{subject}.pack" for subject in human36m.TRAINING),
        "h36m/test.pack",
        "h36m/prior.npz",
        *(f"train/h36m/{net}/start.caffemodel" for net in ("lite-cpm", "lite-lifting")),
        *(f"train/h36m/{net}/final.caffemodel" for net in ("lite-cpm", "lite-lifting")),
        *(f"eval/h36m/{net}/errors.json" for net in ("lite-cpm", "lite-lifting")),
        *(f"compare/h36m/{name}" for name in ("index.html", "compare.md", "compare.json")),
    ):
        assert (tree / "build" / name).is_file(), name
    # Every table is filled, beside the published rows.
    record = json.loads((tree / "build/compare/h36m/compare.json").read_text())
    assert record["human36m"] and not record["withheld"]
    methods = ("true 2D landmarks, lifted", *NETS)
    means = {
        (r["method"], r["protocol"], r["what"], r["aligned"], r["scale"]): r["mean"]
        for r in record["results"]
    }
    assert {(m, p) for m, p, *_ in means} == {(m, p) for m in methods for p in "123"}
    assert {m for m, _, what, *_ in means if what == "2D error, px"} == set(NETS)
    expected = by_hand(tree / "build/eval/h36m/lite-lifting/predictions.npz")
    ours = {
        "root": means["lite/lifting", "1", "3D error, mm", "root", "typical"],
        "procrustes": means["lite/lifting", "2", "3D error, mm", "procrustes", "fitted"],
        "2D": means["lite/lifting", "1", "2D error, px", "nothing", "px of the original image"],
    }
    for name, mean in ours.items():
        assert mean == pytest.approx(expected[name], rel=1e-4), name


def by_hand(path):
    """The errors of predictions on the truth that the miniature was made from."""
    with np.load(path) as file:
        arrays = dict(file)
    errors = {"root": [], "procrustes": [], "2D": []}
    for i, (subject, sequence, camera) in enumerate(
        zip(arrays["subject"], arrays["action"], arrays["camera"], strict=True)
    ):
        truth = human36m.poses_of(str(sequence), 1)[0]
        points = human36m.project(truth, str(camera).rpartition("/")[2])
        predicted = arrays["points"][-1, i] + arrays["offset"][i]
        errors["2D"].append(np.linalg.norm(predicted - points, axis=1).mean())
        pose, truth = arrays["poses"][-1, i], truth @ Y_UP.T
        apart = (pose - pose[0]) - (truth - truth[0])
        errors["root"].append(np.linalg.norm(apart, axis=1).mean())
        if subject == "S11":
            chosen = list(PROTOCOL_14)
            errors["procrustes"].append(similar(pose[chosen], truth[chosen]))
    assert [len(e) for e in errors.values()] == [239, 119, 239]
    return {name: np.mean(values) for name, values in errors.items()}


def similar(pose, truth):
    """The mean distance of a pose to its truth after the best turn, shift and scale: no mirror."""
    pose, truth = pose - pose.mean(axis=0), truth - truth.mean(axis=0)
    turned = Rotation.align_vectors(truth, pose)[0].apply(pose)
    scale = (turned * truth).sum() / (turned**2).sum()
    return np.linalg.norm(scale * turned - truth, axis=1).mean()


@pytest.mark.usefixtures("made")
def test_what_is_made_stays_and_what_is_gone_is_made_again(tree):
    build = tree / "build"
    kept = [build / "train/h36m/lite-cpm/final.caffemodel", build / "h36m/test.pack"]
    before = [path.stat().st_mtime_ns for path in kept]
    gone = build / "eval/h36m/lite-cpm/errors.json"
    numbers = json.loads(gone.read_text())
    gone.unlink()
    result = make(tree, "paper")
    assert result.returncode == 0, result.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert json.loads(gone.read_text())["mpjpe_mm"] == pytest.approx(numbers["mpjpe_mm"])
    # Named by the check alone, not by a training that begins.
    assert result.stdout.count("paper: training of lite/cpm") == 1
