"""Every program as a user meets it: its help, a wrong option, an input that is not there.

In processes of their own, with no environment and without Caffe, VTK and MediaPipe.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Runs each program with each of several lists of arguments, each program in a process of its own;
# prints their statuses and what they said. The packages that many of them import are loaded once,
# before the processes fork.
RUN = """
import contextlib, io, json, multiprocessing, os, runpy, sys
import cv2, jinja2, jsonschema, jaxtyping, matplotlib.pyplot, numba, numpy, onnx, tqdm
import scipy.optimize, scipy.stats
import sklearn.datasets, sklearn.linear_model, sklearn.neural_network, sklearn.metrics
for package in ("caffe", "vtkmodules", "mediapipe"):
    sys.modules[package] = None  # its import fails

def answers(name, calls):
    results = []
    for arguments in calls:
        sys.argv = [name, *arguments]
        out, err, status = io.StringIO(), io.StringIO(), None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            except SystemExit as end:
                status = end.code
        results.append([status, out.getvalue(), err.getvalue()])
    return results

def main():
    asked = json.loads(sys.argv[1])
    fork = multiprocessing.get_context("fork")
    with fork.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        said = pool.starmap(answers, asked.items(), chunksize=1)
    print(json.dumps(dict(zip(asked, said, strict=True))))

main()
"""
# What reads a file or folder that is not there. OUT: a folder to write into.
MISSING = {
    "prior": "show no.npz --out OUT/page.png",
    "prototxt.sizes": "no",
    "tools.bench.ablations": "--data no.json --out OUT",
    "tools.bench.evaluation": "--network no --out OUT/a.json",
    "tools.bench.feed": "--data no.json --out OUT/a.json",
    "tools.bench.cluster": "--mocap no.npz --out OUT/a.json",
    "tools.bench.lift_accuracy": "--mocap no.npz --out OUT/a.json",
    "tools.bench.tracks": "--mocap no.npz --out OUT/a.json",
    "tools.bench.lift_ways": "--mocap no.npz --out OUT/a.json",
    "tools.bench.oracle": "--models model=no.npz --out OUT/a.json",
    "tools.bench.network": "--data no.json --out OUT/a.json",
    "tools.bench.plausibility": "--mocap no.npz --out OUT/a.json",
    "tools.bench.prior": "--mocap no.npz --out OUT/a.json",
    "tools.bench.ready_prior": "--models no.npz --out OUT/a.json",
    "tools.bench.study_network": "--start no.caffemodel --out OUT",
    "tools.bench.study_prior": "no.npz --out OUT",
    "tools.convert": "json no.json --out OUT/a.pack",
    "tools.convert.cmu": "no --out OUT",
    "tools.convert.h36m": "no --out OUT",
    "tools.evaluate": "no.prototxt no.caffemodel --data no.json --prior no.npz --out OUT",
    "tools.infer.detect": "no.jpg --out OUT/a.json",
    "tools.infer.export": "no.prototxt no.caffemodel --out OUT",
    "tools.infer.predict": "no.prototxt no.caffemodel no.jpg --out OUT/a.json",
    "tools.lift": "no.json --out OUT/a.npz",
    "tools.paper": "check --h36m no --start no.caffemodel",
    "tools.report": "--build no --out OUT",
    "tools.report.compare": "--data no.json --out OUT",
    "tools.report.figures": "--eval no --out OUT",
    "tools.report.results": "--take no.json",
    "tools.train": "no.prototxt --out OUT",
    "tools.train.curves": "no --out OUT/a.png",
    "tools.train.lite0_weights": "no.pth --out OUT/a.caffemodel",
    "tools.train.transfer_weights": "no.caffemodel no.prototxt --out OUT/a.caffemodel",
}
WITHOUT_INPUT = {"prototxt.generate", "tools.paper.cost", "tools.bench.lift", "tools.rendered"}


def _has_main(file):
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "main"
        for node in ast.parse(file.read_text()).body
    )


PROGRAMS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for folder in ("prior", "python_layers", "prototxt", "tools")
    for file in (ROOT / folder).rglob("*.py")
    if _has_main(file)
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """{program: its [status, stdout, stderr] of --help, of a wrong option, of MISSING}."""
    out = tmp_path_factory.mktemp("out")

    asked = {name: [["--help"], ["--no-such-option"]] for name in PROGRAMS}
    for name, arguments in MISSING.items():
        asked[name].append(arguments.replace("OUT", str(out / name)).split())
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(asked)],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_program_is_here():
    assert len(PROGRAMS) > 20 and set(PROGRAMS) == MISSING.keys() | WITHOUT_INPUT


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_needs_neither_caffe_nor_an_environment(answers, name):
    status, out, err = answers[name][0]
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: python -m {name} ") and "--help" in out
    assert "default: None" not in out and "default: False" not in out


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_wrong_option_is_status_2(answers, name):
    status, out, err = answers[name][1]
    assert (status, out) == (2, "") and f"python -m {name}: error: " in err


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_input_is_one_line_and_status_1(answers, name):
    status, _, err = answers[name][2]
    (line,) = err.splitlines()
    assert status == 1 and line.startswith(f"python -m {name}: ")
