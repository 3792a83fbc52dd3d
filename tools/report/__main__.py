"""The demo's report: report.json, and report.html with every picture inside.

    python -m tools.report --out build/demo

Reads what the other targets left under build/: the data set, the prior, the trainings, both
evaluations and the time that each step took.
"""

import argparse
import csv
import html
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import prior
from prior import metrics, show
from prior.files import write
from prior.skeleton import LANDMARKS
from python_layers.data import annotations
from tools.evaluate import protocols
from tools.measured import stamp
from tools.report import figures
from tools.report.page import document, image, table

NETWORKS = {"cpm": "CPM baseline", "lifting": "with lifting and fusion"}
COLOUR = {"cpm": "#8172b3", "lifting": "#dd8452"}
EXAMPLES = 4  # images in each row of pictures

NOT_HUMAN36M = (
    "This is not Human3.6M. The images are rendered, the networks are a small fraction of the "
    "paper's size and trained for minutes, and the motion is acrobatic where Human3.6M's is "
    "everyday. The paper's figures stand here to show what is measured, not to be compared with "
    "ours."
)


class ReportError(Exception):
    """Something that the report needs is missing: what, and what makes it."""


class Run:
    """Everything that the report shows, read from the folders of a demo."""

    def __init__(self, build):
        self.people = annotations.load(_made(build / "data/test.json", "make data"))
        self.model = prior.load(_made(build / "prior.npz", "make prior"))
        self.errors, self.predictions = {}, {}
        self.start = _losses(build / "train/lite-start", "make demo")
        self.losses = {}
        for name in NETWORKS:
            evaluation = build / "eval" / f"lite-{name}"
            job = f"make eval NET=lite/{name}"
            self.errors[name] = json.loads(_made(evaluation / "errors.json", job).read_text())
            with np.load(_made(evaluation / "predictions.npz", job)) as file:
                self.predictions[name] = dict(file)
            self.losses[name] = _losses(build / f"train/lite-{name}", f"make train NET=lite/{name}")
        steps = [json.loads(p.read_text()) for p in (build / "steps").glob("*.json")]
        self.steps = sorted(steps, key=lambda step: step["started"])
        self.published = json.loads(protocols.PUBLISHED.read_text())


def _losses(folder, job):
    """(n, 2): iteration and loss of a training."""
    with open(_made(folder / "loss.csv", job)) as file:
        rows = [
            [float(row[k] or "nan") for k in ("iteration", "loss")] for row in csv.DictReader(file)
        ]
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
        "alignment": "3D: root-aligned MPJPE over 17 landmarks, typical limb scale",
        "mean_pose_mpjpe_mm": baseline["mean_pose_mpjpe_mm"],
        "true_2d_mpjpe_mm": baseline["true_2d_mpjpe_mm"],
        **run.errors,
        "seconds": {step["name"]: step["seconds"] for step in run.steps},
        "peak_memory_mb": max((step["peak_memory_mb"] for step in run.steps), default=None),
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
            names[-1] = "final"
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
        figures.draw_image(row[0], run.people, i, beliefs[i])
        figures.draw_image(row[1], run.people, i, points[i])
        row[0].set_title(f"{figures.name_of(run.people, i)}: CNN's maps", fontsize=9)
        row[1].set_title(f"fused maps, {error_2d[i]:.1f} px", fontsize=9)
        for cell, turn, side in ((row[2], 0, "camera"), (row[3], 90, "side")):
            figures.draw_3d(cell, run.people, i, poses[i], turn)
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


def measured(run):
    """Ours, the paper's, and what is measured."""
    cpm, lifting = run.errors["cpm"], run.errors["lifting"]
    published = {row["method"]: row["average"] for row in run.published["error_2d_px"]}
    protocol = run.published["protocol_1_mm"][-1]["average"]
    return table(
        ("", "CPM baseline", "lifting and fusion", "paper: CPM", "paper: theirs", "measured as"),
        (
            (
                "2D error",
                f"{cpm['error_2d_px']:.1f} px",
                f"{lifting['error_2d_px']:.1f} px",
                f"{published['Trained CPM [44]']} px",
                f"{published['Tome et al., with 3D refinement']} px",
                "mean over landmarks, px of the image (ours 400 px wide, Human3.6M's 1000)",
            ),
            (
                "PCKh@0.5",
                f"{100 * cpm['pckh']:.1f} %",
                f"{100 * lifting['pckh']:.1f} %",
                "",
                "",
                "share of landmarks within half of neck to head top",
            ),
            (
                "PCKh@0.2",
                f"{100 * cpm['pckh_0.2_by_stage'][-1]:.1f} %",
                f"{100 * lifting['pckh_0.2_by_stage'][-1]:.1f} %",
                "",
                "",
                "within a fifth of it",
            ),
            (
                "3D error",
                f"{cpm['mpjpe_mm']:.1f} mm",
                f"{lifting['mpjpe_mm']:.1f} mm",
                "",
                f"{protocol} mm",
                "MPJPE, hips aligned, 17 landmarks, typical limb scale; baseline: "
                "its landmarks lifted afterwards; the paper's: its protocol 1",
            ),
            (
                "3D error, Procrustes",
                f"{cpm['errors_3d_mm']['procrustes']:.1f} mm",
                f"{lifting['errors_3d_mm']['procrustes']:.1f} mm",
                "",
                "",
                "similarity fitted to each pose, 17 landmarks",
            ),
        ),
    )


def page(run, report):
    """report.html."""
    lifting, cpm = run.errors["lifting"], run.errors["cpm"]
    weights = ", ".join(f"{w:.2f}" for w in lifting["fusion_weight_by_stage"])
    share = report["lifting"]["mpjpe_mm"] / report["mean_pose_mpjpe_mm"]
    sections = [
        f"<p class=note>{NOT_HUMAN36M}</p>",
        f"<p>{len(run.people)} test images of subjects {_names(run.people.subjects)} doing "
        f"{_names(run.people.actions)}: none of these people, and none of these motions, was seen "
        "in training, neither by the networks nor by the prior. Both networks go on from one pose "
        "machine, with the same images, iterations, schedule and seed.</p>",
        "<h2>Results</h2>",
        measured(run),
        f"<p>Always answering the best single pose: {report['mean_pose_mpjpe_mm']:.0f} mm. "
        f"Lifting the true 2D landmarks: {report['true_2d_mpjpe_mm']:.0f} mm; what is above that "
        f"is the detector's. The network reaches {100 * share:.0f} % of the single pose's error. "
        f"Left and right of a pair of landmarks are {lifting['side_distance_px']:.0f} px apart as "
        f"predicted, {lifting['true_side_distance_px']:.0f} px in truth: where the first is much "
        "less, the sides are not told apart, and a pose's turn about the vertical is lost. "
        f"Learned weights of the CNN's maps in the fusion, by stage: {weights}.</p>",
        "<h2>Training</h2>",
        image(losses(run), "loss curves"),
        "<h2>By stage</h2>",
        image(stages(run), "errors by stage"),
        "<h2>The 3D prior</h2>",
        f"<pre>{html.escape(show.describe(run.model))}</pre>",
        image(aligned_poses(run), "aligned poses and components"),
    ]
    for title, chosen in examples(run):
        sections += [f"<h2>{title}</h2>", image(pictures(run, chosen), title)]
    sections += [
        "<p>Bold: predicted; pale and wide: true. Red is the person's left, blue the right.</p>",
        "<h2>By landmark and by action</h2>",
        table(
            ("landmark", "CPM, px", "lifting, px"),
            [
                (
                    name,
                    cpm["error_2d_px_by_landmark"][name],
                    lifting["error_2d_px_by_landmark"][name],
                )
                for name in LANDMARKS
            ],
        ),
        table(
            ("action", "CPM, px", "lifting, px", "CPM, mm", "lifting, mm"),
            [
                (
                    action,
                    *(
                        errors[key][action]
                        for key in ("error_2d_px_by_action", "mpjpe_mm_by_action")
                        for errors in (cpm, lifting)
                    ),
                )
                for action in lifting["mpjpe_mm_by_action"]
            ],
        ),
        "<h2>Time</h2>",
        table(
            ("step", "seconds", "largest process, MB"),
            [(s["name"], s["seconds"], s["peak_memory_mb"]) for s in run.steps],
        ),
    ]
    return document("Lifting from the Deep, in half an hour", sections)


def _names(values):
    return ", ".join(sorted({str(value) for value in values}))


def main(arguments=None):
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser("python -m tools.report", description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build"), help="what make has built")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    options = parser.parse_args(arguments)
    try:
        run = Run(options.build)
        report = summary(run)
        options.out.mkdir(parents=True, exist_ok=True)
        write(options.out / "report.json", json.dumps(report, indent=1) + "\n")
        write(options.out / "report.html", page(run, report))
    except (ReportError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out / 'report.html'} and report.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
