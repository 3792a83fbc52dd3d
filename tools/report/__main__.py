"""The demo's report: report.json, and report.html with every picture inside.

    python -m tools.report --out build/demo

Reads what the other targets left under build/: the data set, the prior, the trainings, the
evaluations and the time that each step took.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import prior
from prior import metrics, npz, program, show
from prior.errors import InputError
from prior.files import write
from prior.foreign import read_json
from prior.skeleton import HUMAN36M
from python_layers.data import annotations
from tools.measured import stamp
from tools.report import demo_page, page
from tools.report.evaluated import draw_3d, draw_image, name_of

TITLE = "Lifting from the Deep: the demo"
NETWORKS = {"cpm": "CPM baseline", "lifting": "with lifting and fusion"}
COLOUR = {"cpm": "#8172b3", "lifting": "#dd8452"}
EXAMPLES = 4  # images in each row of pictures


class ReportError(InputError):
    """Something that the report needs is missing: what, and what makes it."""


class Demo:
    """Everything that the report shows, read from the folders of a demo."""

    def __init__(self, build):
        self.people = annotations.load(_made(build / "data/test.json", "make data"))
        self.model = prior.load(_made(build / "prior.npz", "make prior"), HUMAN36M)
        self.errors, self.predictions = {}, {}
        self.start = _losses(build / "train/lite-start", "make demo")
        self.losses = {}
        for name in NETWORKS:
            evaluation = build / "eval" / f"lite-{name}"
            job = f"make eval NET=lite/{name}"
            self.errors[name] = read_json(_made(evaluation / "errors.json", job))
            predictions = _made(evaluation / "predictions.npz", job)
            self.predictions[name] = npz.read(predictions, optional=None, error=ReportError)
            self.losses[name] = _losses(build / f"train/lite-{name}", f"make train NET=lite/{name}")
        self.weighed = read_json(_made(build / "eval/lite-weighed/errors.json", "make demo"))
        steps = [read_json(path) for path in (build / "steps").glob("*.json")]
        self.steps = sorted(steps, key=lambda step: step["started"])


def _losses(folder, job):
    """(n, 2): iteration and loss of a training."""
    path = _made(folder / "loss.csv", job)
    try:
        with open(path) as file:
            rows = [
                [float(row[k] or "nan") for k in ("iteration", "loss")]
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path}: expected losses, got {error}; run {job}") from None
    return np.array(rows)


def _made(path, job):
    if not path.is_file():
        raise ReportError(f"{path}: no such file; run {job}")
    return path


# report.json -------------------------------------------------------------------------------------


def summary(run):
    """The measurements of report.json."""
    baseline = run.errors["lifting"]
    return {
        "measured": stamp(),
        "data": "rendered, not Human3.6M",
        "test_images": len(run.people),
        "subjects": sorted(set(map(str, run.people.subjects))),
        "actions": sorted(set(map(str, run.people.actions))),
        "alignment": "3D: root-aligned MPJPE over 17 landmarks, typical limb scale",
        "mean_pose_mpjpe_mm": baseline["mean_pose_mpjpe_mm"],
        "true_2d_mpjpe_mm": baseline["true_2d_mpjpe_mm"],
        **run.errors,
        "weighed": run.weighed,
        "steps": [
            {key: step[key] for key in ("name", "seconds", "peak_memory_mb")} for step in run.steps
        ],
    }


# Figures -----------------------------------------------------------------------------------------


def losses(run):
    """Loss over iterations: of the pose machine, then of both networks that go on from it."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.plot(*run.start.T, color="#777777", label="CPM, from scratch", linewidth=1)
    for name, rows in run.losses.items():
        after = rows + [run.start[-1, 0], 0]
        axes.plot(*after.T, color=COLOUR[name], label=f"{NETWORKS[name]}, goes on", linewidth=1)
    axes.set(xlabel="iteration", ylabel="loss, sum over stages", yscale="log")
    axes.legend()
    return figure


def stages(run):
    """2D error, PCKh and 3D error by stage, and the learned weights (figure 3 of the paper)."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    panels = (
        ("error_2d_px_by_stage", "2D error, px"),
        ("pckh_by_stage", "PCKh@0.5"),
        ("mpjpe_mm_by_stage", "3D error, mm"),
    )
    for panel, (key, label) in zip(axes, panels, strict=False):
        for name, errors in run.errors.items():
            values = errors[key]
            panel.plot(
                range(1, 1 + len(values)), values, "o-", color=COLOUR[name], label=NETWORKS[name]
            )
        before = run.errors["lifting"].get(key.replace("_by", "_before_fusion_by"))
        if before:
            panel.plot(
                range(1, 1 + len(before)),
                before,
                "o:",
                color=COLOUR["lifting"],
                label="the same before fusion",
            )
        count = len(run.errors["lifting"][key])
        names = [str(t + 1) for t in range(count)]
        if key.startswith("mpjpe"):
            names[len(run.errors["lifting"]["error_2d_px_by_stage"]) :] = ["final", "with lens"]
            names = names[:count]
        panel.set(xlabel="stage", ylabel=label, xticks=range(1, count + 1), xticklabels=names)
        panel.legend(fontsize=8)
    weights = run.errors["lifting"]["fusion_weight_by_stage"]
    axes[3].bar(range(1, 1 + len(weights)), weights, color=COLOUR["lifting"])
    axes[3].set(
        xlabel="stage",
        ylabel="learned w: share of the CNN's map",
        ylim=(0, 1),
        xticks=range(1, 1 + len(weights)),
    )
    return figure


def aligned_poses(run):
    """Figure 2: the model."""
    return show.figure(run.model)


def pictures(run, chosen):
    """Test images: landmarks before and after fusion, and the 3D pose from two sides (figures 4
    and 5 of the paper)."""
    points, beliefs = (run.predictions["lifting"][key][-1] for key in ("points", "beliefs"))
    poses = run.predictions["lifting"]["poses"][-1]
    error_2d = np.nanmean(metrics.landmark_error(points, run.people.points), axis=1)
    error_3d = metrics.root_aligned(poses, run.people.poses_mm)
    figure, axes = plt.subplots(len(chosen), 4, figsize=(12, 3 * len(chosen)), layout="constrained")
    for row, i in zip(axes, chosen, strict=True):
        draw_image(row[0], run.people, i, beliefs[i])
        draw_image(row[1], run.people, i, points[i])
        row[0].set_title(f"{name_of(run.people, i)}: CNN's maps", fontsize=9)
        row[1].set_title(f"fused maps, {error_2d[i]:.1f} px", fontsize=9)
        for cell, turn, side in ((row[2], 0, "camera"), (row[3], 90, "side")):
            draw_3d(cell, run.people, i, poses[i], turn)
            cell.set_title(f"3D from the {side}, {error_3d[i]:.0f} mm", fontsize=9)
    return figure


def examples(run):
    """Rows of pictures: (title, indices): typical ones and failures, by the 3D error."""
    order = np.argsort(
        metrics.root_aligned(run.predictions["lifting"]["poses"][-1], run.people.poses_mm)
    )
    count = len(order)
    typical = order[(np.linspace(0.15, 0.6, EXAMPLES) * (count - 1)).astype(int)]
    worst = order[(np.linspace(0.96, 1, EXAMPLES) * (count - 1)).astype(int)]
    return (
        ("Typical test images: the 15th to 60th percentile of the 3D error", typical),
        ("Failures: among the 4 % with the largest 3D error", worst),
    )


# The page ----------------------------------------------------------------------------------------


def blocks(run, report):
    """The blocks of report.html: what report.json holds, and the figures."""
    yield from demo_page.results(report)
    yield ("heading", "Training")
    yield ("figure", losses(run), "loss curves")
    yield ("heading", "By stage")
    yield ("figure", stages(run), "errors by stage")
    yield ("heading", "The 3D prior")
    yield ("code", show.describe(run.model))
    yield ("figure", aligned_poses(run), "aligned poses and components")
    for title, chosen in examples(run):
        yield ("heading", title)
        yield ("figure", pictures(run, chosen), title)
    yield (
        "text",
        "Bold: predicted; pale and wide: true. Red is the person's left, blue the right.",
    )
    yield from demo_page.details(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.report",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "--build",
        type=Path,
        default=Path("build"),
        metavar="FOLDER",
        help="the folder in which make built",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the folder to write into"
    )
    return parser


def write_report(options):
    """Write report.json and report.html."""
    run = Demo(options.build)
    report = summary(run)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "report.json", json.dumps(report, indent=1) + "\n")
    write(options.out / "report.html", page.as_html(TITLE, blocks(run, report)))
    print(f"wrote {options.out / 'report.html'} and report.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), write_report, arguments)


if __name__ == "__main__":
    sys.exit(main())
