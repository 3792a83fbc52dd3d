"""tools/bench/network.py on the lite networks."""

import json

import pytest

from tests.caffe import tiny_world
from tools.bench import network as bench_network
from tools.caffe_io import process as caffe_process


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    data = tiny_world.write_data(folder / "data")
    return ["--data", str(data), "--prior", str(tiny_world.write_prior(folder / "prior.npz"))]


def test_it_measures_both_networks_and_opencv(world, tmp_path, capsys):
    out = tmp_path / "bench/network.json"
    networks = ["--networks", "lite/cpm", "lite/lifting", "--iterations", "1", "--rounds", "1"]
    assert bench_network.main([*world, *networks, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["rounds"] == 1
    times = content["networks"]
    for name, result in times.items():
        train, deploy = result["train"], result["deploy"]
        assert train["batch"] == 8 and 0 < train["data_share"] < 1
        spent = train["forward_ms"] + train["backward_ms"]
        # Medians of parts and of the whole differ a little.
        assert spent == pytest.approx(train["iteration_ms"], rel=0.2)
        assert sum(train["ms_by_layer"].values()) == pytest.approx(spent, rel=0.3)
        for phase in train, deploy:
            assert (phase["python_ms"] > 0) == (name == "lite/lifting")
            assert phase["python_share"] < 1
            assert ("lifting" in phase["ms_by_layer"]) == (name == "lite/lifting")
    # The same weights give OpenCV the same maps.
    assert times["lite/cpm"]["opencv"]["largest_difference"] < 1e-3
    assert "opencv" not in times["lite/lifting"]
    printed = capsys.readouterr().out
    assert bench_network.markdown(content) in printed
    ratio = (
        times["lite/lifting"]["train"]["iteration_ms"] / times["lite/cpm"]["train"]["iteration_ms"]
    )
    assert f"{ratio:.3f}" in printed and "OpenCV's dnn" in printed
    assert {"command", "date", "commit", "machine"} <= content["measured"].keys()


def test_rounds_are_merged_by_their_medians():
    rounds = [
        {"a": {"ms": ms, "batch": 8}, "largest_difference": far}
        for ms, far in ((5.0, 0.1), (1.0, 0.3), (2.0, 0.2))
    ]
    merged = bench_network.medians(rounds)
    assert merged == {"a": {"ms": 2.0, "batch": 8}, "largest_difference": 0.3}


def test_every_network_is_one_of_prototxt():
    for network in bench_network.NETWORKS:
        assert (caffe_process.ROOT / "prototxt" / network / "train.prototxt").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "none.json"], "none.json: no such file; run make data"),
        (["--iterations", "0"], "--iterations: expected 1 or more"),
        (["--rounds", "0"], "--rounds: expected 1 or more"),
    ],
)
def test_bad_input_is_one_line(world, tmp_path, capsys, more, message):
    out = tmp_path / "network.json"
    assert bench_network.main([*world, *more, "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert (
        error.startswith("python -m tools.bench.network: ")
        and message in error
        and error.count("\n") == 1
    )
    assert not out.exists()


def test_what_caffe_says_of_bad_data_is_one_line(world, tmp_path, capsys):
    (tmp_path / "train.json").write_text("{}")
    arguments = ["--data", str(tmp_path / "train.json"), *world[2:], "--networks", "lite/cpm"]
    assert bench_network.main([*arguments, "--out", str(tmp_path / "network.json")]) == 1
    errors = capsys.readouterr().err.splitlines()
    (error,) = [line for line in errors if line.startswith("python -m tools.bench.network: ")]
    assert (
        error.startswith("python -m tools.bench.network: lite/cpm: ")
        and 'expected "categories"' in error
    )
