"""Which inputs are taken for people: motion capture with noise, and what is none.

    python -m tools.bench.plausibility [--mocap CLIP_OR_FOLDER ...] [--out FILE.json]

Each pose stands in a room before a camera, as for tools.bench.lift_accuracy, and its landmarks are
lifted, camera known, and judged (prior/lifting/plausibility.py). What is no person: the same
landmarks in random order; skeletons of four-legged animals, with their legs as arms and legs, by
how far from the side they are seen; random points. Mirrored landmarks (left for right) are a person
who turns the other way, by weak perspective from a level camera exactly so: little tells these
apart, and their ROC curve is near a coin's. The same of tracks, stretches of the motion before one
camera, with animals that walk.

The clips should be of people that the model was not fitted to; by default they are the carried
motion's test subjects, and the model is the ready one's twin that does not know these. Beside
FILE.json is a picture of the ROC curves, FILE.png.
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
from prior.errors import InputError
from prior.files import replacing
from prior.lifting import plausibility
from prior.mocap import motion
from prior.model import TRAINING
from prior.simulation import Simulation, filmed, room
from prior.skeleton import HUMAN36M, LANDMARKS
from tools import measured
from tools.arguments import add_out_file, add_seed, read_mocap
from tools.markdown import table

NOISES_PX = (0, 5, 10, 20)
# Of a quadruped's trunk to the image's plane, degrees: from the side, and from the front or behind.
SIDE_DEG = 45
# Of a track: how many frames, and how many of them a second. Our choice: three seconds.
TRACK_FRAMES, TRACK_RATE = 30, 10
QUANTILES = (0, 1, 50, 99, 100)
_AT = {name: i for i, name in enumerate(LANDMARKS)}


def quadrupeds(count, seed, frames=1):
    """(count, frames, 17, 3), mm, y up: standing or walking animals that face +z. Trunks are 0.4 to
    1.5 m long, and all proportions vary as from dachshund to giraffe's calf."""
    random = np.random.default_rng(seed)

    def between(low, high):
        return random.uniform(low, high, (count, 1))

    def moving(spread):
        """Angles that swing a step in a second, each about one of its own."""
        middle, swing = spread / np.sqrt(2) * random.normal(size=(2, count, 1))
        phase = between(-np.pi, np.pi) + 2 * np.pi * np.arange(frames) / TRACK_RATE
        return middle + np.sqrt(2) * swing * np.sin(phase)

    trunk = between(400, 1500)
    height = trunk * between(0.35, 1.0)
    front = height * between(0.85, 1.1)
    half = trunk * between(0.08, 0.2)
    poses = np.zeros((count, frames, len(LANDMARKS), 3))

    def put(name, *place):
        for axis, values in enumerate(place):
            poses[..., _AT[name], axis] = values

    def leg(names, x, y, z):
        upper, lower = moving(0.35), moving(0.35)
        put(names[0], x, y, z)
        knee = y - y / 2 * np.cos(upper), z + y / 2 * np.sin(upper)
        put(names[1], x, *knee)
        put(names[2], x, knee[0] - y / 2 * np.cos(lower), knee[1] - y / 2 * np.abs(np.sin(lower)))

    for side, sign in (("left", 1), ("right", -1)):
        leg([f"{side} {part}" for part in ("hip", "knee", "foot")], sign * half, height, 0)
        leg(
            [f"{side} {part}" for part in ("shoulder", "elbow", "wrist")], sign * half, front, trunk
        )
    put("hip", 0, height, 0)
    put("spine", 0, height * (1 + 0.05 * random.normal(size=(count, 1))), trunk / 2)
    put("neck", 0, front, trunk)
    rise, nod = between(-0.3, 1.2), between(-1, 0.3) + moving(0.1)
    neck, head = trunk * between(0.2, 0.7), trunk * between(0.15, 0.4)
    top = front + neck * np.sin(rise), trunk + neck * np.cos(rise)
    put("head top", 0, *top)
    put("nose", 0, top[0] + head * np.sin(nod), top[1] + head * np.cos(nod))
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
    animals = room(quadrupeds(len(poses), seed)[:, 0], seed)
    aside = from_the_side(animals)
    for name, rows in (("from the side", aside), ("from the front", ~aside)):
        result[f"animals, {name}"] = animals.points[rows], animals.cameras[rows]
    return result, list(people)


def from_the_side(animals):
    """(N,) whether a Simulation's animals are seen within SIDE_DEG of the side."""
    trunk = animals.truth[:, _AT["neck"]] - animals.truth[:, _AT["hip"]]
    trunk = np.einsum("nij,nj->ni", animals.cameras, trunk)
    away = np.arctan2(np.abs(trunk[:, 2]), np.hypot(trunk[:, 0], trunk[:, 1]))
    return away <= np.deg2rad(SIDE_DEG)


def cut(clips):
    """(T, TRACK_FRAMES, 17, 3), mm, of clips: whole stretches, at TRACK_RATE frames a second.

    Raises InputError if none is so long.
    """
    pieces = []
    for clip in clips:
        poses = clip.poses[:: max(1, round(clip.rate / TRACK_RATE))]
        whole = len(poses) // TRACK_FRAMES
        pieces.append(poses[: whole * TRACK_FRAMES].reshape(whole, TRACK_FRAMES, *poses.shape[1:]))
    if not sum(map(len, pieces)):
        raise InputError(f"expected a clip of {TRACK_FRAMES / TRACK_RATE:g} s or more, got none")
    return np.concatenate(pieces)


def tracks(pieces, seed):
    """As `inputs`, of motions (T, F, 17, 3), mm, each before a camera of its own: T F poses, track
    by track. Shuffled: in one order in each track."""
    count, frames = pieces.shape[:2]
    people = _filmed(pieces, seed)
    sets = {f"people, {px} px": people.noisy_points(px, seed) for px in NOISES_PX}
    names = list(sets)
    order = np.argsort(np.random.default_rng(seed).random((count, 1, len(LANDMARKS))), axis=2)
    order = np.broadcast_to(order, (count, frames, len(LANDMARKS))).reshape(-1, len(LANDMARKS), 1)
    sets["shuffled"] = np.take_along_axis(people.points, order, axis=1)
    result = {name: (points, people.cameras) for name, points in sets.items()}
    animals = _filmed(quadrupeds(count, seed, frames), seed)
    aside = np.repeat(from_the_side(animals).reshape(count, frames).mean(axis=1) > 0.5, frames)
    for px in (0, 5):
        points = animals.noisy_points(px, seed)
        for name, rows in (("from the side", aside), ("from the front", ~aside)):
            result[f"animals, {name}, {px} px"] = points[rows], animals.cameras[rows]
    return result, names


def _filmed(pieces, seed):
    """The Simulation of motions (T, F, 17, 3), mm, one after another."""
    images = [filmed(piece, seed + i) for i, piece in enumerate(pieces)]
    return Simulation(*(np.concatenate(parts) for parts in zip(*images, strict=True)))


def measure(sets, people, model, frames=1):
    """The record of {name: (points, cameras)}, without the curves; and the misfits by name.

    people: the names of sets of people. frames: of each track, whose median misfit then counts.
    """
    lifter = prior.Lifter(model)
    misfits, rows = {}, {}
    for name, (points, cameras) in sets.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cannot be lifted is not plausible
            lifted = lifter.lift(points, camera=cameras)
        verdict = plausibility.judge(lifted, model, lifter.noise_mm)
        misfit = np.where(lifted.ok, verdict.misfit, np.inf)
        plausible = verdict.plausible
        if frames > 1:
            track = np.arange(len(points)) // frames
            whole = plausibility.judge_tracks(verdict, track).plausible
            plausible = whole.reshape(-1, frames).any(axis=1)
        misfits[name] = np.median(misfit.reshape(-1, frames), axis=1)
        rows[name] = {
            "inputs": len(misfits[name]),
            "implausible": float(1 - plausible.mean()),
            "misfit": {
                str(q): float(np.percentile(misfits[name], q, method="nearest")) for q in QUANTILES
            },
        }
    none = [name for name in sets if name not in people]
    areas = {
        person: {name: area(misfits[person], misfits[name]) for name in none} for person in people
    }
    return {"by_input": rows, "area_under_roc": areas}, misfits


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
    tracked = record["tracks"]
    return "\n\n".join(
        [
            f"{record['held_out_poses']:,} held-out poses; implausible: misfit above "
            f"{plausibility.MOST_MISFIT:g}, limb scale outside "
            f"{' to '.join(map(str, plausibility.LIMB_SCALES))}, or residual above "
            f"{plausibility.MOST_RESIDUAL:g} times the noise",
            *_tables(record),
            f"Tracks of {tracked['frames']} frames, {TRACK_RATE} a second; implausible: all of it, "
            f"one by one or by a median misfit above {plausibility.MOST_TRACK_MISFIT:g}",
            *_tables(tracked),
        ]
    )


def _tables(record):
    """What `measure` gives, as two tables."""
    rows = []
    for name, values in record["by_input"].items():
        quantiles = [values["misfit"][str(q)] for q in QUANTILES]
        shares = f"{100 * values['implausible']:.2f} %"
        rows.append((name, values["inputs"], shares, *(f"{q:.3g}" for q in quantiles)))
    head = ("input", "number", "implausible", *(f"misfit, {q} %" for q in QUANTILES))
    areas = record["area_under_roc"]
    names = list(next(iter(areas.values())))
    return [
        table(head, rows),
        "Area under the ROC curve of the misfit:",
        table(
            ("people", *names), [(k, *(v[n] for n in names)) for k, v in areas.items()], digits=4
        ),
    ]


def picture(poses, tracked):
    """The ROC curves of people with each noise against each kind that is none, above of poses,
    below of tracks, from their misfits by name; dots: the thresholds."""
    figure = Figure(figsize=(15, 6.4), layout="constrained")
    parts = figure.subfigures(2, 1)
    for part, misfits, most in (
        (parts[0], poses, plausibility.MOST_MISFIT),
        (parts[1], tracked, plausibility.MOST_TRACK_MISFIT),
    ):
        people = [name for name in misfits if name.startswith("people")]
        none = [name for name in misfits if name not in people]
        for axes, name in zip(part.subplots(1, len(none), sharey=True), none, strict=True):
            for person in people:
                refused, caught, _ = roc_curve(*_scores(misfits[person], misfits[name]))
                (line,) = axes.plot(refused, caught, label=person)
                at = [np.mean(misfits[n] > most) for n in (person, name)]
                axes.plot(*at, "o", color=line.get_color(), clip_on=False)
            axes.set(title=name, xlim=(0, 1), xlabel="share of people refused")
            axes.set_xscale("symlog", linthresh=1e-3)
        part.axes[0].set_ylabel("share of the others refused")
        part.axes[-1].legend(fontsize=7)
    parts[0].suptitle("poses")
    parts[1].suptitle("tracks")
    return figure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.plausibility",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "--mocap",
        type=Path,
        nargs="+",
        metavar="CLIP_OR_FOLDER",
        help="motion capture (default: the carried motion's test subjects)",
    )
    add_out_file(parser, "build/bench/plausibility.json")
    parser.add_argument(
        "--prior",
        type=Path,
        default=TRAINING,
        metavar="FILE",
        help="the pose model (default: %(default)s)",
    )
    parser.add_argument(
        "--poses",
        type=int,
        default=5000,
        metavar="N",
        help="the number of poses, and of poses in tracks, at most",
    )
    add_seed(parser)
    return parser


def bench(options):
    """Measure, print the tables, and write the files."""
    model = prior.load(options.prior, HUMAN36M)
    clips = read_mocap(options.mocap) if options.mocap else motion.load("test")
    poses, pieces = np.concatenate([clip.poses for clip in clips]), cut(clips)
    rows = np.linspace(0, len(poses) - 1, min(options.poses, len(poses))).astype(int)
    record, misfits = measure(*inputs(poses[rows], options.seed), model)
    at = np.linspace(0, len(pieces) - 1, min(options.poses // TRACK_FRAMES, len(pieces)))
    tracked, of_tracks = measure(*tracks(pieces[at.astype(int)], options.seed), model, TRACK_FRAMES)
    record = {"held_out_poses": len(rows)} | record
    record["tracks"] = {"frames": TRACK_FRAMES} | tracked
    image = options.out.with_suffix(".png")
    with replacing(image) as temporary:
        picture(misfits, of_tracks).savefig(temporary, format="png", dpi=100)
    measured.publish(options.out, record, markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
