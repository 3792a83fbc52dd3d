"""Where a model's error of lifting is from: what is left when more and more of the answer is told.

    python -m tools.bench.oracle [--models NAME=FILE ...] [--out build/bench/oracle.json]

The poses and cameras are those of tools.bench.ready_prior. Each row tells the lifting one thing
more of the truth:

    lifted                       nothing
    component told               of the components, lifted by each alone, the one nearest the truth
    component and rotation told  of all pairs that equation 4 compares, the one nearest the truth
    depths told                  the nearest pose of the basis to the true 3D pose itself

So the first difference is what the choice of the component costs, the second that of the rotation,
the third what the model cannot say of depths although it knows how the person stands, and the last
row is what the basis does not span. The nearest is by MPJPE: hips aligned, known limb scale, mm. A
model of the same people's other frames, neighbours of those measured among them, is measured too:
data of other people cannot do better.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

import prior
from prior import mocap, program
from prior.camera import turned
from prior.errors import InputError
from prior.fitting.distances import distances, minimise_closed_form
from prior.lifting import weak_perspective
from prior.metrics import root_aligned, with_scale_of
from prior.mocap import motion, sampling
from prior.model import PriorModel
from prior.normalise import NormalisedPoses, centred
from prior.simulation import Simulation, room
from prior.skeleton import HUMAN36M
from tools import measured
from tools.arguments import add_models, add_out_file, add_seed
from tools.markdown import table

# Poses that the model of the same people is fitted to: in proportion to these, what `make
# ready-prior` takes of the others. Our choice.
FITTED = 4000

# Images of which all pairs are solved at once: some 20 MB. Our choice.
TOGETHER = 32

ROWS = ("lifted", "component told", "component and rotation told", "depths told")


def alone(model: PriorModel, k: int) -> PriorModel:
    """The model of component k alone."""
    parts: dict[str, Any] = {
        name: getattr(model, name)[[k]] for name in ("mean", "basis", "std", "noise_std")
    }
    return replace(model, **parts, weight=np.ones(1), seeds=model.seeds[[k]])


def error(pose: Float[np.ndarray, "N L 3"], truth: Float[np.ndarray, "N L 3"]) -> np.ndarray:
    """MPJPE (N,), mm: hips aligned, known limb scale."""
    return root_aligned(with_scale_of(pose, truth), truth)


def every_pair(
    points: Float[np.ndarray, "N L 2"], cameras: Float[np.ndarray, "N 3 3"], lifter: prior.Lifter
) -> tuple[Int[np.ndarray, "P"], Float[np.ndarray, "P L 3"]]:
    """The poses, mm, of all pairs of a component and a rotation, those of least cost (equation 4),
    by weak perspective; and which of the N images each is of."""
    images = weak_perspective.observe(weak_perspective.validate(points, cameras))
    pairs, _ = lifter.search.near_best(images, reach=np.inf)
    scale, coefficients = np.split(pairs.solution, [1], axis=1)
    unknowns = np.concatenate([np.zeros((len(pairs.row), 2)), coefficients, scale], axis=1)
    yaw = pairs.angle - images.yaw[pairs.row]
    return pairs.row, lifter.full.poses(pairs.component, yaw, unknowns)


def nearest_pair(images: Simulation, model: PriorModel) -> Float[np.ndarray, "N"]:
    """The error of the pair nearest to the truth, of each pose, mm."""
    lifter = prior.Lifter(model)
    best = np.full(len(images.truth), np.inf)
    for start in tqdm(range(0, len(best), TOGETHER), desc="pairs"):
        part = slice(start, start + TOGETHER)
        row, poses = every_pair(images.points[part], images.cameras[part], lifter)
        np.minimum.at(best, start + row, error(poses, images.truth[part][row]))
    return best


def spanned(truth: Float[np.ndarray, "N L 3"], model: PriorModel) -> Float[np.ndarray, "N"]:
    """The error of the nearest pose of a component to the true one, mm: as in lifting, the scale of
    its mean is free too."""
    poses = NormalisedPoses(truth, model.skeleton)
    everything = slice(0, len(truth))
    best = np.full(len(truth), np.inf)
    for mean, basis, part in zip(model.mean, model.basis, model.parts, strict=True):
        yaw = minimise_closed_form(distances(poses[everything], part))
        turned_back = turned(centred(truth), -yaw)
        shapes = np.concatenate([mean[None], basis])
        coefficients = (
            np.linalg.pinv(shapes.reshape(len(shapes), -1).T)
            @ turned_back.reshape(len(truth), -1).T
        )
        pose = np.einsum("jn,jla->nla", coefficients, shapes)
        best = np.minimum(best, error(pose, turned_back))
    return best


def split_error(model: PriorModel, images: Simulation) -> dict[str, Float[np.ndarray, "N"]]:
    """The error of each pose, mm, by what is told: ROWS."""

    def lifted(of: PriorModel) -> Float[np.ndarray, "N"]:
        return error(prior.lift(images.points, of, camera=images.cameras).pose, images.truth)

    by_component = [lifted(alone(model, k)) for k in range(model.components)]
    values = (
        lifted(model),
        np.min(by_component, axis=0),
        nearest_pair(images, model),
        spanned(images.truth, model),
    )
    return dict(zip(ROWS, values, strict=True))


def same_people(clips: Sequence[mocap.Clip], lifted: Float[np.ndarray, "N L 3"]) -> PriorModel:
    """A model of the clips' frames, without those that are lifted."""
    without = {pose.tobytes() for pose in lifted}
    chosen = sampling.balanced(clips, FITTED)
    poses = np.concatenate([clip.poses for clip in chosen])
    kept = [pose.tobytes() not in without for pose in poses]
    return prior.fit(poses[kept], solver="closed-form")


def measure(models: Sequence[tuple[str, Path]], count: int, seed: int) -> dict[str, Any]:
    """The record: of each model the mean error by what is told, mm."""
    if count < 1:
        raise InputError("--poses: expected 1 or more")
    loaded = {name: prior.load(path, HUMAN36M) for name, path in models}
    clips = motion.load("test")
    poses = np.concatenate([clip.poses for clip in sampling.balanced(clips, count)])
    loaded["these people's other frames"] = same_people(clips, poses)
    images = room(poses, seed)
    rows = [
        {"model": name}
        | {told: float(value.mean()) for told, value in split_error(model, images).items()}
        for name, model in loaded.items()
    ]
    return {"poses": len(poses), "rows": rows}


def markdown(record: dict[str, Any]) -> str:
    """The record as a table, mm."""
    rows = [(row["model"], *(f"{row[told]:.1f}" for told in ROWS)) for row in record["rows"]]
    return f"MPJPE, mm, of {record['poses']} poses\n\n{table(('model', *ROWS), rows)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.oracle", description=__doc__, formatter_class=program.HelpFormatter
    )
    add_models(parser)
    parser.add_argument("--poses", type=int, default=330, metavar="N", help="how many are lifted")
    add_seed(parser)
    add_out_file(parser, "build/bench/oracle.json")
    return parser


def bench(options: argparse.Namespace) -> None:
    """Measure, print the table and write the record."""
    record = measure(options.models, options.poses, options.seed)
    measured.publish(options.out, record, markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
