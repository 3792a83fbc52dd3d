"""tools/bench/study_network.py on the tiny world: all its variants, for a few iterations."""

import argparse
import json
import shutil
import time

import numpy as np
import pytest

from prototxt import generate
from tests.caffe import tiny_world
from tools.bench import study_network
from tools.bench.study_network import PAPERS, VARIANTS
from tools.caffe_io import files as caffe_files

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*poses could not be lifted:UserWarning"),
]


@pytest.fixture(scope="module")
def start(world, tmp_path_factory):
    """Weights of a lite pose machine that never trained."""
    import caffe

    folder = tmp_path_factory.mktemp("start")
    deploy = folder / "deploy.prototxt"
    deploy.write_text(tiny_world.adapt(generate.HERE / "lite/cpm/deploy.prototxt"))
    caffe.set_random_seed(3)
    net = caffe.Net(str(deploy), caffe.TEST)
    tiny_world.settle(net)
    net.save(str(folder / "start.caffemodel"))
    return folder / "start.caffemodel"


def run(world, start, out, *more):
    data = world / "data/train.json"
    single = shutil.copy(world / "prior.npz", start.parent / "single.npz")
    arguments = [
        "--start",
        start,
        "--data",
        data,
        "--test-data",
        data,
        "--prior",
        world / "prior.npz",
        "--prior-single",
        single,
        "--out",
        out,
        "--iterations",
        2,
    ]
    return study_network.main([str(value) for value in (*arguments, *more)])


@pytest.fixture(scope="module")
def out(world, start, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        assert run(world, start, out, "--seeds", 1, 2) == 0
    return out


def test_every_variant_has_every_seed(out):
    results = json.loads((out / "results.json").read_text())
    assert results["variants"].keys() == VARIANTS.keys() and results["seeds"] == [1, 2]
    for name, measured in results["variants"].items():
        assert all(len(values) == 2 for values in measured.values())
        assert np.isfinite(measured["2D px"]).all()
        fused = VARIANTS[name].kind == "lifting"
        assert np.shape(measured["w by stage"]) == ((2, 3) if fused else (2,))
    text = (out / "table.md").read_text()
    assert text == study_network.markdown(results) + "\n"
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(VARIANTS)
    mean = np.mean(results["variants"][PAPERS]["2D px"])
    assert f" {mean:.2f} ± " in lines[3]
    assert (out / "errors.png").stat().st_size > 5000


def test_runs_are_what_they_are_called(out, start):
    def net(run, file="train"):
        kind = "cpm" if run.startswith("cpm") else "lifting"
        return (out / run / f"prototxt/lite/{kind}/{file}.prototxt").read_text()

    names = [variant.name for variant in VARIANTS.values()]
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert folders == {f"{name}-{seed}" for name in names for seed in (1, 2)}
    assert "lifting" not in net("cpm-1") and '"backward": "none"' in net("lifting-1")
    assert '"backward": "scale-held"' in net("gradients-1")
    with_single = {run for run in folders if "single.npz" in net(run) + net(run, "deploy")}
    assert with_single == {"single-1", "single-2"}
    for run, seed in (("lifting-1", 1), ("lifting-2", 2)):
        assert f'"seed": {seed}' in net(run)
        assert f"random_seed: {seed}\n" in net(run, "solver_finetune")
    weights = {
        name: caffe_files.read_weights(out / f"{name}-1/train/final.caffemodel") for name in names
    }
    assert weights["fixed"]["fusion_stage1"][0] == 0.5 != weights["lifting"]["fusion_stage1"][0]
    # All went on from the same weights, and learned: a little.
    begun = caffe_files.read_weights(start)["conv5"][0]
    for trained in weights.values():
        moved = np.abs(trained["conv5"][0] - begun).max()
        assert 0 < moved < 0.01


def test_the_networks_for_photographs_without_3d_truth(world, tmp_path):
    """Two of the variants: trained on what small/ is fine-tuned on, but for the tiny world."""
    texts = study_network.prototxts(
        study_network.Run(VARIANTS[PAPERS], 3, tmp_path / "run", world / "prior.npz"), "small", None
    )
    solver, train, deploy = (path.name for path in texts)
    assert (solver, train) == ("solver_finetune.prototxt", "train_finetune.prototxt")
    text = next(text for path, text in texts.items() if path.name == train)
    assert '{"build/data/photographs.pack": 3, "build/data/train.json": 1}' in text
    assert "prior.npz" in text and deploy == "deploy.prototxt"


def test_tables_leave_out_what_the_data_cannot_tell():
    numbers = {name: [None] for name in study_network.MEASURES}
    numbers |= {"2D px": [20.0], "2D px by stage": [[21.0, 20.0]], "PCK@0.2 %": [61.0]}
    cpm = numbers | {"2D px": [21.0], "PCK@0.2 %": [60.5]}
    record = {"seeds": [1], "iterations": 5, "variants": {"CPM alone": cpm, PAPERS: numbers}}
    head, _, first, *_ = study_network.markdown(record).splitlines()[2:]
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "",
        "2D px",
        "2D px by stage",
        "PCK@0.2 %",
        f"2D px, less {PAPERS}",
        f"PCK@0.2 %, less {PAPERS}",
    ]
    assert "-0.5" in first and "3D" not in head


def test_what_is_done_is_not_done_again(world, start, out, capsys):
    files = {path: path.stat().st_mtime_ns for path in out.glob("*/eval/errors.json")}
    (out / "cpm-2/eval/errors.json").unlink()
    assert run(world, start, out, "--seeds", 1, 2) == 0
    again = {p for p, t in files.items() if p.stat().st_mtime_ns != t}
    assert again == {out / "cpm-2/eval/errors.json"}
    assert PAPERS in capsys.readouterr().out
    assert "goes on from iteration 2" in (out / "cpm-2/log.txt").read_text()


def test_other_iterations_are_another_training(world, start, tmp_path, monkeypatch):
    monkeypatch.setattr(study_network, "VARIANTS", {PAPERS: VARIANTS[PAPERS]})
    assert run(world, start, tmp_path / "out", "--seeds", 1) == 0
    assert run(world, start, tmp_path / "out", "--seeds", 1, "--iterations", 1) == 0
    log = (tmp_path / "out/lifting-1/log.txt").read_text()
    assert "goes on" not in log and "final.caffemodel: iteration 1\n" in log


def test_a_run_that_fails_is_one_line(world, start, tmp_path, capsys):
    broken = tmp_path / "broken.caffemodel"
    broken.write_bytes(start.read_bytes()[:-1000])
    assert run(world, broken, tmp_path / "out", "--seeds", 1) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error and "-1: " in error and "log.txt" in error
    assert not (tmp_path / "out/results.json").exists()


def test_one_that_fails_stops_the_others(monkeypatch, tmp_path):
    """The second run ends at once; the first, which would take a minute, when told to."""

    def carry_out(run, options, stop):
        if run.seed == 2:
            stop.set()
            raise study_network.StudyError("no")
        with open(tmp_path / "log.txt", "w") as log:
            study_network.call(
                ["timeit", "-n1", "-r1", "-s", "import time", "time.sleep(60)"], log, stop
            )

    monkeypatch.setattr(study_network, "carry_out", carry_out)
    monkeypatch.setattr(study_network, "VARIANTS", {PAPERS: VARIANTS[PAPERS]})
    options = argparse.Namespace(
        seeds=[1, 2, 3], jobs=2, out=tmp_path, prior=None, prior_single=None, variants=None
    )
    began = time.monotonic()
    with pytest.raises(study_network.StudyError):
        study_network.study(options)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--seeds", 1, 1], "--seeds: expected different"), (["--jobs", 0], "expected 1 or more")],
)
def test_bad_arguments(world, start, tmp_path, capsys, more, message):
    assert run(world, start, tmp_path / "out", *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_files_are_named(world, start, tmp_path, capsys):
    assert run(world, tmp_path / "no.caffemodel", tmp_path / "out") == 1
    error = capsys.readouterr().err
    (line,) = [
        x for x in error.splitlines() if x.startswith("python -m tools.bench.study_network: ")
    ]
    assert line.endswith("no.caffemodel: no such file")
