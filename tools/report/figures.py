"""The paper's figures 2 to 5, of our model and network: python -m tools.report.figures.

2 the aligned training poses, 3 one image by stages, 4 results and failures, 5 landmarks before and
after the fusion with the projected pose. Each as .png, .svg and .pdf, and all in index.html with
what they show and how the images were chosen. Reads what `python -m tools.evaluate` left in a
folder of build/eval, of a network with lifting; with --photographs also in that folder, of
photographs without 3D truth, for the right half of figure 4.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

from prior import metrics, program, show
from prior.files import replacing, write
from prior.skeleton import LANDMARKS
from tools.arguments import add_gpu, add_out_folder, add_prior
from tools.infer.estimator import Network, annotated
from tools.report import page, photographs
from tools.report.evaluated import draw_3d, draw_image, facing, load, name_of

TITLE = "Figures as in the paper"
FORMATS = ("png", "svg", "pdf")
LANDMARK = "left wrist"  # whose maps figure 3 shows, as the paper's
EXAMPLES = 5  # images of figure 4's rows; the paper's left half has five
REFINED = 4  # images of figure 5
# Our choice of what is typical: the share of each action's images with a lower 3D error.
TYPICAL = 0.25


# The figures ------------------------------------------------------------------------------------


def figure_2(run):
    """The aligned training poses in 2D PCA, and the model."""
    return show.figure(run.model)


def by_stage(run, i):
    """Figure 3: the projected skeleton, the maps of one landmark, and the 3D pose, by stage."""
    stages = Network(run.network, run.weights, run.gpu).stage_maps(annotated(run.people, i))
    poses = [pose - pose[metrics.ROOT] for pose in stages.poses]
    count = len(poses)
    true = run.people.poses_mm[i] - run.people.poses_mm[i][metrics.ROOT]
    figure, axes = plt.subplots(
        4, count, figsize=(2.6 * count + 1, 11), layout="constrained", squeeze=False
    )
    landmark = LANDMARKS.index(LANDMARK)
    top = max(maps[landmark].max() for maps in (*stages.beliefs, *stages.fused))
    errors = [metrics.landmark_error(pose, true) for pose in poses]
    azimuth = facing(run.people, i)
    reach = 1.1 * max(np.abs(pose).max() for pose in poses)
    for t, column in enumerate(axes.T):
        draw_image(column[0], run.people, i, stages.projected[t])
        column[0].set_title(f"stage {t + 1}: 3D pose projected", fontsize=9)
        for cell, maps, title in (
            (column[1], stages.beliefs, "CNN's map"),
            (column[2], stages.fused, "fused map"),
        ):
            if t < len(maps):  # the last fusion may be left out
                cell.imshow(maps[t][landmark], vmin=0, vmax=top, cmap="magma")
                cell.set_title(f"{title}, {LANDMARK}", fontsize=9)
            cell.axis("off")
        show.draw_pose(column[3], poses[t], azimuth)
        place = show.flattened(poses[t], azimuth)
        dots = column[3].scatter(
            *place.T, c=errors[t], s=30, cmap="viridis_r", vmin=0, vmax=np.max(errors), zorder=3
        )
        column[3].set(xlim=(-reach, reach), ylim=(-reach, reach))
        column[3].set_title(f"3D pose, {errors[t].mean():.0f} mm", fontsize=9)
    figure.colorbar(
        dots, ax=axes, label="error of the landmark in 3D, mm", shrink=0.3, anchor=(0, 0)
    )
    return figure


def typical(run):
    """For figure 4: of each action, the image at the quantile TYPICAL of its 3D errors."""
    chosen = []
    for action in dict.fromkeys(run.people.actions):
        rows = np.flatnonzero(np.array(run.people.actions) == action)
        order = rows[np.argsort(run.error_mm[rows], kind="stable")]
        chosen.append(int(order[int(TYPICAL * (len(order) - 1))]))
    return chosen[:EXAMPLES]


def failures(run):
    """For figure 4: of each action, the image with the largest 3D error."""
    actions = np.array(run.people.actions)
    return [
        int(max(np.flatnonzero(actions == a), key=lambda i: run.error_mm[i]))
        for a in dict.fromkeys(run.people.actions)
    ][:EXAMPLES]


def figure_4(run):
    """Images with 2D landmarks, and the 3D pose: an image of each action, then failures."""
    columns = list(zip(typical(run), failures(run), strict=True))
    figure, axes = plt.subplots(
        4, len(columns), figsize=(2.6 * len(columns), 10.5), layout="constrained", squeeze=False
    )
    for column, pair in zip(axes.T, columns, strict=True):
        for cells, i in ((column[:2], pair[0]), (column[2:], pair[1])):
            draw_image(cells[0], run.people, i, run.predictions["points"][-1, i])
            cells[0].set_title(name_of(run.people, i), fontsize=9)
            draw_3d(cells[1], run.people, i, run.predictions["poses"][-1, i])
            cells[1].set_title(f"{run.error_mm[i]:.0f} mm", fontsize=9)
    return figure


def refined(run):
    """For figure 5: the images in which the last fusion lowers the 2D error most, of different
    actions as far as there are: [(index, before, after)], px."""
    before, after = (
        np.nanmean(metrics.landmark_error(run.predictions[key][-1], run.people.points), axis=1)
        for key in ("beliefs", "points")
    )
    order = np.argsort(after - before, kind="stable")
    first = list({run.people.actions[i]: int(i) for i in order[::-1]}.values())
    first = sorted(first, key=lambda i: after[i] - before[i])
    rest = [int(i) for i in order if i not in first]
    return [(i, float(before[i]), float(after[i])) for i in [*first, *rest][:REFINED]]


def figure_5(run):
    """Landmarks of the CNN's maps, and of those fused with the projected 3D pose."""
    chosen = refined(run)
    figure, axes = plt.subplots(
        len(chosen), 3, figsize=(8.4, 2.8 * len(chosen)), layout="constrained", squeeze=False
    )
    for cells, (i, before, after) in zip(axes, chosen, strict=True):
        for cell, points, title in (
            (cells[0], run.predictions["beliefs"][-1, i], f"predicted, {before:.1f} px"),
            (cells[1], run.predictions["points"][-1, i], f"refined, {after:.1f} px"),
            (cells[2], run.people.points[i], f"true: {name_of(run.people, i)}"),
        ):
            draw_image(cell, run.people, i, points)
            cell.set_title(title, fontsize=9)
    return figure


def make(run, data):
    """Yields (name, figure, what it shows) of each figure."""
    legend = f"Images: {data}. Bold: predicted; pale and wide: true. Red: the person's left."
    yield (
        "figure_2",
        figure_2(run),
        (
            "Figure 2. The training poses after alignment, by 2D PCA, with some of their skeletons "
            "and the seeds of the mixture; right, each component's mean and first modes."
        ),
    )
    i = int(np.argsort(run.error_mm, kind="stable")[int(0.1 * (len(run.error_mm) - 1))])
    yield (
        "figure_3",
        by_stage(run, i),
        (
            f"Figure 3. One image by stage ({name_of(run.people, i)}, the first decile of the "
            "final 3D error): the 3D pose projected into it, the maps of one landmark before and "
            "after fusion, and the 3D pose from the camera's side with the error of each "
            "landmark, hip aligned. " + legend
        ),
    )
    yield (
        "figure_4",
        figure_4(run),
        (
            f"Figure 4. 2D landmarks and 3D pose: of each action the image at the {TYPICAL:.0%} "
            "quantile of the 3D error (two upper rows), and the worst (two lower rows). " + legend
        ),
    )
    share = np.mean(
        [
            a < b
            for a, b in zip(
                *(
                    np.nanmean(
                        metrics.landmark_error(run.predictions[k][-1], run.people.points), axis=1
                    )
                    for k in ("points", "beliefs")
                ),
                strict=True,
            )
        ]
    )
    yield (
        "figure_5",
        figure_5(run),
        (
            "Figure 5. Landmarks as the last stage's CNN predicts them, and refined with the "
            "projected 3D pose. These are the images that gain most, of different actions; the 2D "
            f"error falls in {share:.0%} of all images. " + legend
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.report.figures",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "--eval",
        type=Path,
        default=Path("build/eval/lite-lifting"),
        metavar="FOLDER",
        help="the folder that tools.evaluate wrote",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("build/data/test.json"),
        metavar="FILE",
        help="the annotations that were evaluated",
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        nargs=2,
        metavar=("FOLDER", "FILE"),
        help="draw figure 4's right half too: the folder that tools.evaluate wrote of photographs, "
        "and their annotations",
    )
    add_prior(parser)
    add_out_folder(parser, "build/figures")
    add_gpu(parser)
    return parser


def figures_of(options):
    """Yields (name, figure, what it shows) of each figure. What cannot be read is raised first."""
    run = load(options.eval, options.data, options.prior, options.gpu)
    shown = photographs.load(*options.photographs) if options.photographs else None
    yield from make(run, options.data)
    if shown:
        text = photographs.caption(shown, options.photographs[1])
        yield "figure_4_right", photographs.figure(shown), text


def draw(options):
    """Draw the figures and write them with index.html."""
    blocks = []
    count = 5 if options.photographs else 4
    for name, figure, text in tqdm(figures_of(options), "figures", count, disable=None):
        for suffix in FORMATS:
            with replacing(options.out / f"{name}.{suffix}") as temporary:
                figure.savefig(temporary, dpi=150)
        blocks += [("figure", page.image(figure), text), ("text", text)]
    write(options.out / "index.html", page.as_html(TITLE, blocks))
    print(f"wrote {options.out / 'index.html'} and {count} figures as {', '.join(FORMATS)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), draw, arguments, interrupted="every file that is there is whole")


if __name__ == "__main__":
    sys.exit(main())
