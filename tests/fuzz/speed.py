"""How long good files take to read, beside another checkout: python -m tests.fuzz.speed TREE.

TREE is a git worktree of an older commit, which reads the same files with its own code: in the same
run, by turns. Times are of the processor, of the fastest of all calls, ms. The first rows are of
the one way in alone (prior.foreign, prior.matlab), beside the libraries' own without it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from tqdm import tqdm

import prior
from prior import mat_file, mocap, program
from prior.errors import InputError
from prior.mocap import clip_npz
from prior.skeleton import L
from python_layers.data import packed
from tests import annotated, landmark_files
from tests.fuzz.targets.motion import CMU
from tests.poses import random_poses
from tests.tools.convert.test_mpii import mpii_image, mpii_person, struct
from tools import markdown
from tools.arguments import positive

# What a process of each checkout runs: the expressions of this file, since the two have other names
# for the same. A call is repeated for half a second, three times at least.
READ = """
import gc, json, sys, time
from pathlib import Path
best = {}
for name, module, call, path in json.loads(sys.argv[1]):
    scope = {"path": Path(path)}
    exec(module, scope)
    read = eval("lambda: " + call, scope)
    read()
    gc.disable()
    times, end = [], time.process_time() + 0.5
    while len(times) < 3 or time.process_time() < end:
        start = time.process_time()
        read()
        times.append(time.process_time() - start)
    gc.enable()
    best[name] = min(times)
print(json.dumps(best))
"""
# Without the one way in, and by it.
DOORS = {
    "JSON": ("import json", "json.loads(path.read_text())"),
    "500 of JSON": (
        "import json",
        "[json.loads(file.read_text()) for file in sorted(path.iterdir())]",
    ),
    "text": ("", "path.read_text()"),
    ".npz": ("import numpy as np", "dict(np.load(path, allow_pickle=False))"),
    ".mat": ("import scipy.io", "scipy.io.loadmat(path)"),
}
DOOR = "from prior import foreign, matlab, npz"
BY_FOREIGN = {
    "JSON": "foreign.read_json(path)",
    "500 of JSON": "[foreign.read_json(file) for file in sorted(path.iterdir())]",
    "text": "foreign.read_text(path)",
    ".npz": "npz.read(path, optional=None)",
    ".mat": "matlab.load(path)",
}
KEYPOINTS = "from tools.lift import keypoints", "keypoints.read(path)"
MOCAP = "from prior import mocap", "mocap.read(path)"
ANNOTATIONS = (
    "from python_layers.data import annotations",
    "annotations.load(path, check_images=False)",
)
IMAGE = "from python_layers.data import images", "images.read(path)"


def _annotated(repeats):
    """The annotations of the tests, so many times."""
    document = annotated.document()
    images, people = document["images"], document["annotations"]
    count = len(images)
    document["images"] = [
        image | {"id": i * count + image["id"], "frame": 1000 * i + image["frame"]}
        for i in range(repeats)
        for image in images
    ]
    document["annotations"] = [
        person | {"image_id": i * count + person["image_id"]}
        for i in range(repeats)
        for person in people
    ]
    return document


def _mpii(path):
    people = mpii_person(50, 40), mpii_person(150, 60)
    count = 100
    release = {
        "annolist": struct(*(mpii_image(f"{i}.jpg", *people) for i in range(count))),
        "img_train": np.ones((1, count)),
    }
    scipy.io.savemat(path, {"RELEASE": struct(release)})


def _pack(path):
    document = _annotated(10)
    _, data = cv2.imencode(".jpg", np.zeros((1000, 1000, 3), np.uint8))
    with packed.Writer(path, document["cameras"]) as writer:
        for image, person in zip(document["images"], document["annotations"], strict=True):
            writer.add(image | {"width": 1000, "height": 1000}, [person], data.tobytes())


def write(folder):
    """Good files in a folder: [name, (module, call), path] of each, and the same of the readers
    before: the way in is another one there."""
    points = landmark_files.image_points(landmark_files.walk(3000))
    landmark_files.openpose(folder / "openpose", points[:500])
    landmark_files.coco_results(folder / "results.json", points)
    landmark_files.coco_annotations(folder / "coco.json", points)
    landmark_files.mpii(folder / "mpii.json", points)
    landmark_files.table(folder / "table.csv", points)
    landmark_files.arrays(folder / "arrays.npz", points)
    model, random = prior.load(), np.random.default_rng(0)
    model.save(folder / "model.npz")
    mat_file.write(folder / "model.mat", model)
    poses = random_poses(3000, seed=0)
    clip_npz.write(folder / "clip.npz", mocap.Clip(poses, 50.0, "S1", "walk"))
    np.savez(folder / "points.npz", points=points, confidence=np.ones((len(points), L)))
    (folder / "points.json").write_text(json.dumps({"points": points.tolist()}))
    (folder / "train.json").write_text(json.dumps(_annotated(10)))
    _pack(folder / "train.pack")
    _mpii(folder / "mpii.mat")
    picture = cv2.GaussianBlur(random.integers(0, 255, (1000, 1000, 3), np.uint8), (0, 0), 3)
    for kind in ("jpg", "png"):
        cv2.imwrite(str(folder / f"image.{kind}"), picture)
        cv2.imwrite(str(folder / f"small.{kind}"), picture[:64, :64])
    points_file = "from prior import points_file", "points_file.read(path)"
    load = "from prior import model", "model.load(path)"
    matlab = "from prior import mat_file", "mat_file.read(path)"
    mpii = "from tools.convert import mpii", "list(mpii.read(path, path.parent))"
    cases = (
        ("OpenPose, 500 files", *KEYPOINTS, folder / "openpose"),
        ("COCO results, 3,000", *KEYPOINTS, folder / "results.json"),
        ("COCO annotations, 3,000", *KEYPOINTS, folder / "coco.json"),
        ("MPII's list, 3,000", *KEYPOINTS, folder / "mpii.json"),
        ("table .csv, 3,000", *KEYPOINTS, folder / "table.csv"),
        ("arrays .npz, 3,000", *KEYPOINTS, folder / "arrays.npz"),
        ("points .json, 3,000", *points_file, folder / "points.json"),
        ("points .npz, 3,000", *points_file, folder / "points.npz"),
        ("BVH of CMU", *MOCAP, (CMU / "indian/07.bvh").resolve()),
        ("ASF and AMC of CMU", *MOCAP, (CMU / "subjects/01/01_14.amc").resolve()),
        ("clip .npz, 3,000", *MOCAP, folder / "clip.npz"),
        ("model .npz", *load, folder / "model.npz"),
        ("model .mat", *matlab, folder / "model.mat"),
        ("annotations, 1,440", *ANNOTATIONS, folder / "train.json"),
        ("packed, 1,440", *ANNOTATIONS, folder / "train.pack"),
        ("MPII .mat, 100", *mpii, folder / "mpii.mat"),
        ("JPEG, 1 megapixel", *IMAGE, folder / "image.jpg"),
        ("PNG, 1 megapixel", *IMAGE, folder / "image.png"),
        ("JPEG, 64 px", *IMAGE, folder / "small.jpg"),
        ("PNG, 64 px", *IMAGE, folder / "small.png"),
    )
    files = {
        "JSON": ("coco.json", "points.json"),
        "500 of JSON": ("openpose",),
        "text": ("table.csv",),
        ".npz": ("model.npz", "arrays.npz", "clip.npz"),
        ".mat": ("model.mat", "mpii.mat"),
    }
    before, now = [], []
    for kind, names in files.items():
        for name in names:
            words = f"way in: {name}", str(folder / name)
            before.append((words[0], *DOORS[kind], words[1]))
            now.append(
                (words[0], "from prior import foreign, matlab, npz", BY_FOREIGN[kind], words[1])
            )
    cases = [(*words, str(path)) for *words, path in cases]
    return before + cases, now + cases


def _times(tree, cases):
    """{name: seconds} of a checkout."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(cases)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"{tree}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def compare(options):
    """Print the table."""
    trees = [options.tree.resolve(), Path.cwd()]
    best = [{}, {}]
    with tempfile.TemporaryDirectory() as folder:
        every = [
            [case for case in cases if options.only is None or case[0] in options.only]
            for cases in write(Path(folder))
        ]
        for _ in tqdm(range(options.rounds), "rounds", disable=None):
            for times, tree, cases in zip(best, trees, every, strict=True):
                for name, seconds in _times(tree, cases).items():
                    times[name] = min(seconds, times.get(name, seconds))
    rows = [
        [name, f"{1e3 * before:.2f}", f"{1e3 * best[1][name]:.2f}", f"{best[1][name] / before:.2f}"]
        for name, before in best[0].items()
    ]
    print(markdown.table(["file", "before, ms", "now, ms", "ratio"], rows))


def _parser():
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz.speed", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument("tree", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=positive, default=5, help="of each checkout, by turns")
    parser.add_argument("--only", nargs="+", metavar="FILE", help="these alone")
    return parser


def main(arguments=None):
    """Run the program; returns its exit status."""
    return program.run(_parser(), compare, arguments)


if __name__ == "__main__":
    sys.exit(main())
