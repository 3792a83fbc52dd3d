"""The programs that write, each with a small job: what the faults are tried on."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import skimage

import prior
from prior.skeleton import LANDMARKS
from tests import annotated, human36m, landmark_files
from tests.poses import random_poses
from tools.caffe_io import process as caffe_process

HAVE_CAFFE = (caffe_process.caffe_root() / "python/caffe/_caffe.so").exists()
if HAVE_CAFFE:
    from tests.caffe import tiny_world
    from tests.caffe.training import write_solver


class Program(NamedTuple):
    """command: module and arguments, with IN for the folder of inputs and OUT for the target.

    inputs: the functions below that make what it reads. goes_on: it reads what is in its target.
    logs: names of files there that only grow. in_place: patterns of names of files that are written
    in place, of which the next run puts the damaged ones aside. python: the interpreter of an
    environment of its own, or this one.
    """

    name: str
    command: str
    inputs: tuple = ()
    goes_on: bool = False
    logs: tuple[str, ...] = ()
    in_place: tuple[str, ...] = ()
    python: str = sys.executable

    def words(self, inputs, out):
        """The whole command line."""
        words = self.command.split()
        words = [word.replace("IN", str(inputs)).replace("OUT", str(out)) for word in words]
        return [self.python, "-m", *words]

    def path(self):
        """PYTHONPATH: of another environment the packages are not these."""
        if self.python != sys.executable:
            return str(caffe_process.ROOT)
        return caffe_process.environment()["PYTHONPATH"]


def run(command, folder):
    """A program whose result is an input of others; it must succeed."""
    words = command.replace("IN", str(folder)).split()
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{command}: {done.stderr}")


# What they read: each function writes into a folder, once -----------------------------------------


def clip(folder):
    """Motion capture of two people."""
    for i in (1, 2):
        poses = random_poses(100, seed=i).astype(np.float32)
        np.savez(folder / f"{i}.npz", poses_mm=poses, rate=50.0, subject=f"S{i}")


def frames(folder):
    """Landmarks of a person who walks, in OpenPose's files."""
    points = landmark_files.image_points(landmark_files.walk(40))
    landmark_files.openpose(folder / "frames", points)


def model(folder):
    """A small prior, and landmarks for it."""
    made = prior.fit(random_poses(300), components=2, basis=6, solver="closed-form")
    made.save(folder / "model.npz")
    points = landmark_files.image_points(landmark_files.walk(40))
    document = {"points": points.tolist(), "landmarks": list(LANDMARKS)}
    (folder / "points.json").write_text(json.dumps(document))


def truth(folder):
    """Annotated frames without images."""
    (folder / "truth.json").write_text(json.dumps(annotated.document()))


def release(folder):
    """Human3.6M, small."""
    human36m.write(folder / "h36m", folder / "scratch")


def photos(folder):
    """A photograph of somebody, and one of nobody."""
    (folder / "photos").mkdir()
    shutil.copy(Path(skimage.__file__).parent / "data/astronaut.png", folder / "photos/1.png")
    cv2.imwrite(str(folder / "photos/2.png"), np.zeros((480, 640, 3), np.uint8))


def drawn(folder):
    """Drawn people, a prior, and a solver for a small network."""
    tiny_world.write_data(folder / "data")
    tiny_world.write_prior(folder / "prior.npz")
    write_solver(folder / "solver", folder, iterations=8)
    cv2.imwrite(str(folder / "image.png"), cv2.imread(str(folder / "data/0.png")))


def demo(folder):
    """What the demo's report reads: trained networks and their evaluations."""
    build, data = folder / "demo", folder / "data/train.json"
    (build / "steps").mkdir(parents=True)
    shutil.copytree(folder / "data", build / "data")
    shutil.copy(data, build / "data/test.json")
    shutil.copy(folder / "prior.npz", build / "prior.npz")
    for net, out in (("cpm", "lite-start"), ("cpm", "lite-cpm"), ("lifting", "lite-lifting")):
        solver = write_solver(folder / out, folder, f"lite/{net}", iterations=4)
        run(f"tools.train {solver} --out {build}/train/{out}", folder)
        if out == "lite-start":
            continue
        deploy = folder / out / "deploy.prototxt"
        source = caffe_process.ROOT / f"prototxt/lite/{net}/deploy.prototxt"
        deploy.write_text(tiny_world.adapt(source, prior=folder / "prior.npz"))
        run(
            f"tools.evaluate {deploy} {build}/train/{out}/final.caffemodel --data {data} "
            f"--training-data {data} --prior IN/prior.npz --out {build}/eval/{out} --workers 0",
            folder,
        )
    # The report wants one of layers that weigh too; how they do is nothing to its writing.
    shutil.copytree(build / "eval/lite-lifting", build / "eval/lite-weighed")


NETWORK = "IN/lite-lifting/deploy.prototxt IN/demo/train/lite-lifting/final.caffemodel"
LIFTED = "npz json csv angles.csv bvh trc c3d mot glb png gif mp4 html".split()
LIFT = "tools.lift IN/frames --no-deviation --out OUT/poses"
PROGRAMS = [
    Program("fit", "prior fit IN/1.npz IN/2.npz --components 2 --basis 5 --out OUT/m.npz", (clip,)),
    Program(
        "select",
        "prior select IN/1.npz IN/2.npz --components 1 2 --basis 3 --solver closed-form "
        "--out OUT/s.json",
        (clip,),
    ),
    Program("show", "prior show IN/model.npz --out OUT/model.png", (model,)),
    Program("prior lift", "prior lift IN/model.npz IN/points.json --out OUT/poses.npz", (model,)),
    Program("export", "prior export IN/model.npz --out OUT/model.mat", (model,)),
    *(Program(f"lift .{kind}", f"{LIFT}.{kind}", (frames,)) for kind in LIFTED),
    Program("h36m", "tools.convert.h36m IN/h36m --no-videos --out OUT", (release,), goes_on=True),
    Program("rendered clips", "tools.rendered --clips-only --out OUT", goes_on=True),
    Program(
        "rendered",
        "tools.rendered --train-images 8 --test-images 4 --size 96 --out OUT",
        goes_on=True,
    ),
    Program(
        "compare",
        "tools.report.compare --data IN/truth.json --prior IN/model.npz --out OUT",
        (truth, model),
    ),
    Program("generate", "prototxt.generate --out OUT"),
]
WITH_CAFFE = [
    Program("convert", "tools.convert json IN/data/train.json --out OUT/a.pack", (drawn,)),
    Program(
        "train",
        "tools.train IN/solver/solver.prototxt --out OUT",
        (drawn,),
        goes_on=True,
        logs=("caffe.log", "loss.csv", "loss.png"),
        in_place=("snapshot_iter_*",),
    ),
    Program("curves", "tools.train.curves IN/demo/train/lite-cpm --out OUT/a.png", (drawn, demo)),
    Program(
        "transfer",
        "tools.train.transfer_weights IN/demo/train/lite-cpm/final.caffemodel "
        "IN/solver/net.prototxt --out OUT/a.caffemodel",
        (drawn, demo),
    ),
    Program(
        "evaluate",
        f"tools.evaluate {NETWORK} --data IN/data/train.json --prior IN/prior.npz --workers 2 "
        "--out OUT",
        (drawn, demo),
        goes_on=True,
    ),
    Program(
        "predict", f"tools.infer.predict {NETWORK} IN/image.png --out OUT/a.json", (drawn, demo)
    ),
    Program("network export", f"tools.infer.export {NETWORK} --out OUT", (drawn, demo)),
    Program("report", "tools.report --build IN/demo --out OUT", (drawn, demo)),
    Program(
        "figures",
        "tools.report.figures --eval IN/demo/eval/lite-lifting --data IN/demo/data/test.json "
        "--prior IN/prior.npz --out OUT",
        (drawn, demo),
    ),
]
if HAVE_CAFFE:
    PROGRAMS += WITH_CAFFE
MEDIAPIPE = caffe_process.ROOT / "build/venv-mediapipe/bin/python"
if MEDIAPIPE.exists():
    command = "tools.infer.detect IN/photos --out OUT/a.json"
    # What it goes on from, of each photograph a line.
    lines = (".a.json.partial",)
    PROGRAMS.append(Program("detect", command, (photos,), logs=lines, python=str(MEDIAPIPE)))


@functools.cache
def _made(function, folder):
    function(folder)


def make_inputs(program, folder):
    """Write what a program reads, unless that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for function in program.inputs:
        _made(function, folder)


def environment(program, **more):
    """Of a program of a trial: one thread, and Caffe."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **os.environ,
        **threads,
        "PYTHONPATH": program.path(),
        **more,
    }
