"""Speed of the lifting beside its floor, one matrix product, and its slow twin.

    python -m tools.bench.lift [--out build/bench/lift.json]

The poses are of the motion that the project carries, seen by one camera with 5 px of noise. The
floor is the float32 product of (poses x 595) and (595 x K R) matrices that enumerates all K
components and R rotations without any saving, in the shape in which this machine computes it
fastest. Lifting and floor are timed in turn. The fastest time and the median are kept; the fastest
is the one to compare, since other programs on the machine can only slow a measurement down.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

import prior
from prior import program
from prior.camera import level_camera, vertical_rotation
from prior.chunks import cores
from prior.errors import InputError
from prior.fitting.fit import BASIS
from prior.lifting import lifter as lifting
from prior.lifting.reference import lift_slowly
from prior.simulation import INTRINSICS, tilted
from prior.skeleton import L
from tools import measured
from tools.arguments import add_out_file, read_mocap
from tools.markdown import table

# Products of two of the 2 L coordinates of a pose's landmarks: 595.
PRODUCTS = L * (2 * L + 1)
# Numbers of poses in a product of the floor; the fastest counts.
FLOOR_SHAPES = (256, 512, 1024, 2048, 8192)
# Poses lifted in other ways than the plain one.
WAY_POSES = 4096
# Poses that the slow twin lifts, each of which takes it a good part of a second.
TWIN_POSES = 3


def timed(work, repeats):
    """The seconds that each of `repeats` calls of work() took."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def floor(combinations):
    """{poses in a product: a function that computes it once}, for K R = `combinations`."""
    random = np.random.default_rng(0)
    left = random.random((combinations, PRODUCTS), dtype=np.float32)

    def product(poses):
        right = random.random((PRODUCTS, poses), dtype=np.float32)
        out = np.empty((combinations, poses), dtype=np.float32)
        return lambda: np.matmul(left, right, out=out)

    return {poses: product(poses) for poses in FLOOR_SHAPES}


def by_way(lifter, images, points, rounds):
    """{how else poses are lifted: the seconds that each takes, at best}; the tables of the cameras
    are made before the clock. The last is one pose alone, with everything on."""
    points = points[:WAY_POSES]
    random = np.random.default_rng(0)
    elevation = random.uniform(0, np.deg2rad(25), len(points))
    own = level_camera(elevation) @ vertical_rotation(random.uniform(-3, 3, len(points)))
    lens, camera = {"intrinsics": INTRINSICS}, images.cameras[0]
    doubt = random.uniform(2, 8, size=(*points.shape[:2], 1, 1)) ** 2 * np.eye(2)
    wrong = points.copy()
    wrong[random.random(points.shape[:2]) < 0.05] += 150
    one = {"covariance": doubt[0], "robust": True}
    asked = {
        "a camera for each": (points, {"camera": own}),
        "lens": (points, {"camera": camera} | lens),
        "a covariance for each": (points, {"camera": camera, "covariance": doubt}),
        "lens, and 5 % of the landmarks wrong, robust": (
            wrong,
            {"camera": camera, "robust": True} | lens,
        ),
        "one pose, lens, covariance, robust": (points[:1], {"camera": camera} | lens | one),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poses that cannot be lifted
        for where, how in asked.values():
            lifter.lift(where, **how)
        return {
            name: min(timed(lambda where=where, how=how: lifter.lift(where, **how), rounds))
            / len(where)
            for name, (where, how) in tqdm(asked.items(), desc="ways")
        }


def measure(model, images, rounds):
    """The speeds with one model, as lift.json holds them; images: a Simulation."""
    lifter, camera, points = prior.Lifter(model), images.cameras[0], images.noisy_points(5)
    count = len(points)
    lifted = lifter.lift(points, camera=camera)
    grad = np.ones_like(points)
    products = floor(model.components * lifting.ROTATIONS)
    batch, back, each, best = [], [], [], {poses: [] for poses in products}
    for i in tqdm(range(rounds), desc=f"K = {model.components}"):
        batch += timed(lambda: lifter.lift(points, camera=camera), 1)
        back += timed(lambda: lifter.vjp(lifted, projection=grad), 1)
        for poses, product in products.items():
            best[poses] += timed(product, 1 + 16384 // poses)
        for row in range(100 * i, 100 * i + 100):
            one = points[row % count][None]
            each += timed(lambda one=one: lifter.lift(one, camera=camera), 1)
    ways = by_way(lifter, images, points, rounds)
    shape = max(best, key=lambda poses: poses / min(best[poses]))
    twin = [
        timed(
            lambda i=i: lift_slowly(
                points[i], model, camera, np.ones(L), lifting.ROTATIONS, lifting.NOISE_MM
            ),
            1,
        )[0]
        for i in range(TWIN_POSES)
    ]
    return {
        "poses_per_second": {"best": count / min(batch), "median": count / np.median(batch)},
        "floor_poses_per_second": {
            "best": shape / min(best[shape]),
            "median": shape / np.median(best[shape]),
            "shape": shape,
        },
        "times_the_floor": shape / min(best[shape]) * min(batch) / count,
        "one_pose_ms": {"p50": 1e3 * np.percentile(each, 50), "p99": 1e3 * np.percentile(each, 99)},
        "vjp_times_lift": min(back) / min(batch),
        "ways": ways,
        "twin_poses_per_second": 1 / min(twin),
    }


def markdown(record):
    """The content of lift.json as a table, a column for each model."""
    speeds = record["models"].values()

    def row(title, of):
        return (title, *map(of, speeds))

    rows = (
        row("poses a second, at best", lambda s: round(s["poses_per_second"]["best"])),
        row("poses a second, median", lambda s: round(s["poses_per_second"]["median"])),
        row("floor, poses a second, at best", lambda s: round(s["floor_poses_per_second"]["best"])),
        row("time of lifting / floor", lambda s: s["times_the_floor"]),
        row("one pose alone, ms, median", lambda s: f"{s['one_pose_ms']['p50']:.2f}"),
        row("one pose alone, ms, 99th percentile", lambda s: f"{s['one_pose_ms']['p99']:.2f}"),
        row("time of the gradient / lifting", lambda s: f"{s['vjp_times_lift']:.2f}"),
        row("slow twin, poses a second", lambda s: s["twin_poses_per_second"]),
        *(
            row(f"{name}, poses a second", lambda s, name=name: round(1 / s["ways"][name]))
            for name in next(iter(speeds)).get("ways", ())
        ),
    )
    return (
        f"{record['poses']:,} poses in a batch, {record['threads']} threads, "
        f"{record['rotations']} rotations, J = {record['basis']}\n\n"
        + table(("", *record["models"]), rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.lift",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_out_file(parser, "build/bench/lift.json")
    parser.add_argument(
        "--poses", type=int, default=65536, metavar="N", help="the number of poses in a batch"
    )
    parser.add_argument(
        "--rounds", type=int, default=10, metavar="N", help="how often each is measured"
    )
    return parser


def bench(options):
    """Measure with one and with three components, and write the file."""
    if options.poses < 1 or options.rounds < 1:
        raise InputError("--poses, --rounds: expected 1 or more")
    poses = np.concatenate([clip.poses for clip in read_mocap(None)])
    images = tilted(np.resize(poses, (options.poses, L, 3)), 0.13, 0)
    models = {}
    for components in (1, 3):
        model = prior.fit(poses, components=components, basis=BASIS, solver="closed-form")
        models[f"K = {model.components}"] = measure(model, images, options.rounds)
    result = {
        "threads": cores(),
        "rotations": lifting.ROTATIONS,
        "basis": BASIS,
        "poses": options.poses,
        "models": models,
    }
    measured.publish(options.out, result, markdown(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
