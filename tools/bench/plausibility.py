"""Which inputs are taken for people: motion capture with noise, and what is none.

    python -m tools.bench.plausibility [--mocap CLIP_OR_FOLDER ...] [--out FILE.json]

Each pose stands in a room before a camera, as for tools.bench.lift_accuracy, and its landmarks are
lifted, camera known, and judged (prior/lifting/plausibility.py). What is no person: the same
landmarks in random order; skeletons of four-legged animals, with their legs as arms and legs, by
how far from the side they are seen; random points. Mirrored landmarks (left for right) are a person
who turns the other way, by weak perspective from a level camera exactly so: shown, not counted.

The clips should be of people that the model was not fitted to. Beside FILE.json is a picture of the
ROC curves, FILE.png.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

import prior
from prior import program
from prior.files import replacing
from prior.lifting import plausibility
from prior.simulation import room
from prior.skeleton import HUMAN36M, LANDMARKS
from tools import measured
from tools.arguments import add_mocap, add_out_file, add_seed, read_mocap
from tools.markdown import table

NOISES_PX = (0, 5, 10, 20)
# Of a quadruped's trunk to the image's plane, degrees: from the side, and from the front or behind.
SIDE_DEG = 45
QUANTILES = (0, 1, 50, 99, 100)
_AT = {name: i for i, name in enumerate(LANDMARKS)}


def quadrupeds(count, seed):
    """(count, 17, 3), mm, y up: standing or walking animals that face +z. Trunks are 0.4 to 1.5 m
    long, and all proportions vary as from dachshund to giraffe's calf."""
    random = np.random.default_rng(seed)
    trunk = random.uniform(400, 1500, count)
    height = trunk * random.uniform(0.35, 1.0, count)
    front = height * random.uniform(0.85, 1.1, count)
    half = trunk * random.uniform(0.08, 0.2, count)
    zero = np.zeros(count)
    poses = np.zeros((count, len(LANDMARKS), 3))

    def put(name, x, y, z):
        poses[:, _AT[name]] = np.stack([x, y, z], axis=1)

    def leg(names, x, y, z):
        upper, lower = random.normal(0, 0.35, (2, count))
        put(names[0], x, y, z)
        knee = y - y / 2 * np.cos(upper), z + y / 2 * np.sin(upper)
        put(names[1], x, *knee)
        put(names[2], x, knee[0] - y / 2 * np.cos(lower), knee[1] - y / 2 * np.abs(np.sin(lower)))

    for side, sign in (("left", 1), ("right", -1)):
        leg([f"{side} {part}" for part in ("hip", "knee", "foot")], sign * half, height, zero)
        leg(
            [f"{side} {part}" for part in ("shoulder", "elbow", "wrist")], sign * half, front, trunk
        )
    put("hip", zero, height, zero)
    put("spine", zero, height * random.normal(1, 0.05, count), trunk / 2)
    put("neck", zero, front, trunk)
    rise, nod = random.uniform(-0.3, 1.2, count), random.uniform(-1, 0.3, count)
    neck, head = trunk * random.uniform(0.2, 0.7, count), trunk * random.uniform(0.15, 0.4, count)
    top = front + neck * np.sin(rise), trunk + neck * np.cos(rise)
    put("head top", zero, *top)
    put("nose", zero, top[0] + head * np.sin(nod), top[1] + head * np.cos(nod))
    return poses


def inputs(poses, seed):
    """{name: (points (N, 17, 2), px, cameras)} of people (N, 17, 3), mm, and of what is none, and
    the names of those that are people."""
    images = room(poses, seed)
    people = {f"people, {px} px": images.noisy_points(px, seed) for px in NOISES_PX}
    random = np.random.default_rng(seed)
    order = np.argsort(random.random(images.points.shape[:2]), axis=1)
    size = images.points.std(axis=(0, 1))
    sets = people | {
        "mirrored": images.points * [-1, 1],
        "shuffled": np.take_along_axis(images.points, order[..., None], axis=1),
        "random": size * random.normal(size=images.points.shape),
    }
    result = {name: (points, images.cameras) for name, points in sets.items()}
    animals = room(quadrupeds(len(poses), seed), seed)
    trunk = animals.truth[:, _AT["neck"]] - animals.truth[:, _AT["hip"]]
    trunk = np.einsum("nij,nj->ni", animals.cameras, trunk)
    aside = np.degrees(np.arctan2(np.abs(trunk[:, 2]), np.hypot(trunk[:, 0], trunk[:, 1])))
    for name, rows in (
        ("animals, from the side", aside <= SIDE_DEG),
        ("animals, from the front", aside > SIDE_DEG),
    ):
        result[name] = animals.points[rows], animals.cameras[rows]
    return result, list(people)


def measure(poses, model, seed):
    """The record of held-out poses (N, 17, 3), mm, without the curves; and the misfits by name."""
    sets, people = inputs(poses, seed)
    lifter = prior.Lifter(model)
    misfits, rows = {}, {}
    for name, (points, cameras) in sets.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cannot be lifted is not plausible
            lifted = lifter.lift(points, camera=cameras)
        verdict = plausibility.judge(lifted, model, lifter.noise_mm)
        misfits[name] = np.where(lifted.ok, verdict.misfit, np.inf)
        rows[name] = {
            "inputs": len(points),
            "implausible": float(1 - verdict.plausible.mean()),
            "misfit": {
                str(q): float(np.percentile(misfits[name], q, method="nearest")) for q in QUANTILES
            },
        }
    none = [name for name in sets if name not in people and name != "mirrored"]
    areas = {
        person: {name: area(misfits[person], misfits[name]) for name in none} for person in people
    }
    record = {"held_out_poses": len(poses), "by_input": rows, "area_under_roc": areas}
    return record, misfits


def area(people, others):
    """The area under the ROC curve of misfits of people against others'."""
    truth, scores = _scores(people, others)
    return float(roc_auc_score(truth, scores))


def _scores(people, others):
    """(whether it is no person, misfit) of both."""
    truth = np.repeat([False, True], [len(people), len(others)])
    scores = np.concatenate([people, others])
    return truth, np.where(np.isfinite(scores), scores, np.finfo(float).max)


def markdown(record):
    """The record as tables."""
    rows = []
    for name, values in record["by_input"].items():
        quantiles = [values["misfit"][str(q)] for q in QUANTILES]
        shares = f"{100 * values['implausible']:.2f} %"
        rows.append((name, values["inputs"], shares, *(f"{q:.3g}" for q in quantiles)))
    head = ("input", "number", "implausible", *(f"misfit, {q} %" for q in QUANTILES))
    areas = record["area_under_roc"]
    names = list(next(iter(areas.values())))
    return "\n\n".join(
        [
            f"{record['held_out_poses']:,} held-out poses; implausible: misfit above "
            f"{plausibility.MOST_MISFIT:g}, limb scale outside "
            f"{' to '.join(map(str, plausibility.LIMB_SCALES))}, or residual above "
            f"{plausibility.MOST_RESIDUAL:g} times the noise",
            table(head, rows),
            "Area under the ROC curve of the misfit:",
            table(
                ("people", *names),
                [(k, *(v[n] for n in names)) for k, v in areas.items()],
                digits=4,
            ),
        ]
    )


def picture(misfits):
    """The ROC curves of people with each noise against each kind that is none; dots: threshold."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    people = [name for name in misfits if name.startswith("people")]
    none = [name for name in misfits if name not in people and name != "mirrored"]
    for axes, name in zip(figure.subplots(1, len(none), sharey=True), none, strict=True):
        for person in people:
            refused, caught, _ = roc_curve(*_scores(misfits[person], misfits[name]))
            (line,) = axes.plot(refused, caught, label=person)
            at = [np.mean(misfits[n] > plausibility.MOST_MISFIT) for n in (person, name)]
            axes.plot(*at, "o", color=line.get_color(), clip_on=False)
        axes.set(title=name, xlim=(0, 1), xlabel="share of people refused")
        axes.set_xscale("symlog", linthresh=1e-3)
    figure.axes[0].set_ylabel("share of the others refused")
    figure.axes[-1].legend(fontsize=7)
    return figure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.plausibility",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_mocap(parser)
    add_out_file(parser, "build/bench/plausibility.json")
    parser.add_argument(
        "--prior", type=Path, metavar="FILE", help="the pose model (default: the ready one)"
    )
    parser.add_argument(
        "--poses", type=int, default=5000, metavar="N", help="the number of poses, at most"
    )
    add_seed(parser)
    return parser


def bench(options):
    """Measure, print the tables, and write the files."""
    model = prior.load(options.prior, HUMAN36M) if options.prior else prior.load()
    poses = np.concatenate([clip.poses for clip in read_mocap(options.mocap)])
    rows = np.linspace(0, len(poses) - 1, min(options.poses, len(poses))).astype(int)
    record, misfits = measure(poses[rows], model, options.seed)
    image = options.out.with_suffix(".png")
    with replacing(image) as temporary:
        picture(misfits).savefig(temporary, format="png", dpi=100)
    measured.publish(options.out, record, markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
