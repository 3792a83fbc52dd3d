"""Small trainings on the tiny data: what the tests of tools.train share."""

import json
import subprocess

from python_layers.data import packed
from tests.caffe import tiny_world
from tools.caffe_io import process as caffe_process
from tools.train import __main__ as train

PROTOTXT = caffe_process.ROOT / "prototxt"

ADAM = 'type: "Adam" base_lr: 1e-3 momentum: 0.9 momentum2: 0.999 lr_policy: "fixed"'

SGD = 'base_lr: 1e-5 momentum: 0.9 lr_policy: "fixed"'

STILL = 'base_lr: 0 lr_policy: "fixed"'  # what is learned stays as it is

ITERATIONS = 12


def write_solver(folder, world, net="lite/lifting", rates=ADAM, iterations=ITERATIONS, text=None):
    """A solver for a network of prototxt/ on the tiny data; text: another network. Its path."""
    folder.mkdir(parents=True, exist_ok=True)
    if text is None:
        path = PROTOTXT / f"{net}/train.prototxt"
        text = tiny_world.adapt(path, world / "data/train.json", world / "prior.npz", batch_size=1)
    (folder / "net.prototxt").write_text(text)
    solver = folder / "solver.prototxt"
    solver.write_text(
        f'net: "{folder / "net.prototxt"}" {rates} max_iter: {iterations} display: 1 '
        f'snapshot: 4 snapshot_prefix: "{folder / "unused"}" random_seed: 1 solver_mode: CPU'
    )
    return solver


def caffe_train(solver, *options):
    """Run the plain `caffe train`; returns the process, ended, with its log as stderr."""
    return subprocess.run(
        [caffe_process.program(), "train", f"--solver={solver}", *map(str, options)],
        cwd=caffe_process.ROOT,
        env=caffe_process.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def run(*arguments):
    return train.main(list(map(str, arguments)))


def assert_one_line(capsys, *parts):
    printed = capsys.readouterr().err
    lines = [line for line in printed.splitlines() if line.startswith("python -m tools.train")]
    assert len(lines) == 1, printed
    assert "Traceback" not in printed
    for part in parts:
        assert part in lines[0]


def packed_twin(world, path):
    """The tiny data in one packed file."""
    document = json.loads((world / "data/train.json").read_text())
    with packed.Writer(path, document["cameras"]) as writer:
        for image, person in zip(document["images"], document["annotations"], strict=True):
            writer.add(image, [person], (world / "data" / image["file_name"]).read_bytes())
    return path
