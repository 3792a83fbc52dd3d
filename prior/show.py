"""Pictures of a pose model, as the paper's figure 2, and its description in words.

A picture is a matplotlib Figure that belongs to no window and sets no backend: save it with
`savefig`, or let a notebook show it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from prior.fitting import mixture
from prior.model import PriorModel
from prior.normalise import to_rows
from prior.skeleton import HUMAN36M, Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # matplotlib is imported by the functions that make figures
    Axes = Figure = Any

COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860")
LEFT, RIGHT, MIDDLE = "#c44e52", "#4c72b0", "#555555"


def limb_colours(skeleton: Skeleton) -> list[str]:
    """Of each limb (row of Skeleton.limbs), by the side of the body that it is on."""
    left, right = ({pair[side] for pair in skeleton.pairs} for side in (0, 1))
    return [
        LEFT if child in left else RIGHT if child in right else MIDDLE
        for _, child in skeleton.limbs
    ]


# Figure 2 draws so many of the aligned poses as skeletons.
SKELETONS = 14
# How large they are, as a share of the plot.
SKELETON_SIZE = 0.12


def flattened(pose: Float[np.ndarray, "L 3"], azimuth: float = 30.0) -> Float[np.ndarray, "L 2"]:
    """A pose, y up, as it looks from `azimuth` degrees beside its front."""
    angle = np.deg2rad(azimuth)
    return np.stack([pose[:, 0] * np.cos(angle) - pose[:, 2] * np.sin(angle), pose[:, 1]], axis=1)


def draw_pose(
    axes: Axes,
    pose: Float[np.ndarray, "L 3"],
    azimuth: float = 30.0,
    skeleton: Skeleton = HUMAN36M,
    **style: Any,
) -> None:
    """Draw a pose, y up, on 2D axes, as it looks from `azimuth` degrees beside its front."""
    draw_points(axes, flattened(pose, azimuth), skeleton, **style)
    axes.set_aspect("equal")
    axes.axis("off")


def draw_points(
    axes: Axes, points: Float[np.ndarray, "L 2"], skeleton: Skeleton = HUMAN36M, **style: Any
) -> None:
    """Draw the limbs between 2D landmarks, such as px on axes that show the image."""
    for (a, b), colour in zip(skeleton.limbs, limb_colours(skeleton), strict=True):
        axes.plot(*points[[a, b]].T, color=colour, **{"linewidth": 1.5} | style)


def component_probability(
    model: PriorModel, poses: Float[np.ndarray, "N L 3"]
) -> Float[np.ndarray, "N K"]:
    """The probability of each component for aligned poses, in units of limb scale."""
    return softmax(mixture.log_joint(to_rows(poses), model.parts, model.weight), axis=1)


def draw_aligned_poses(axes: Axes, model: PriorModel) -> None:
    """Figure 2: the aligned training poses in two dimensions, by PCA, coloured by component.

    The seeds of the mixture are ringed. They are drawn as skeletons, and so are poses that spread
    over the plot.
    """
    size = model.mean[0].size
    rows = model.sample.reshape(-1, size).astype(float)
    mean = rows.mean(axis=0) if len(rows) else np.zeros(size)
    # A sample of less than two poses has no plane of its own: then any.
    _, _, directions = np.linalg.svd(rows - mean, full_matrices=len(rows) < 2)
    plane = directions[:2].T
    flat = (rows - mean) @ plane
    seeds = (model.seeds.reshape(-1, size) - mean) @ plane
    component = component_probability(model, model.sample.astype(float)).argmax(axis=1)
    for k in range(model.components):
        x, y = flat[component == k].T
        axes.scatter(
            x,
            y,
            s=6,
            color=COLOURS[k % len(COLOURS)],
            alpha=0.5,
            label=f"component {k + 1}, weight {model.weight[k]:.2f}",
        )
    x, y = seeds.T
    axes.scatter(x, y, s=130, facecolors="none", edgecolors="black", label="seeds")
    size = SKELETON_SIZE * np.ptp(flat if len(flat) else seeds, axis=0).max()
    drawn = []
    if len(flat):
        apart = mixture.greedy_seeds(flat, SKELETONS, 0.8 * size)
        drawn = [(flat[i], model.sample[i]) for i in apart]
    for place, pose in [*drawn, *zip(seeds, model.seeds, strict=True)]:
        small = size * pose / np.abs(pose).max() * 0.5
        draw_points(axes, place + small[:, :2], model.skeleton, linewidth=1)
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.set_aspect("equal")
    axes.legend(loc="best", fontsize=8)


def figure(model: PriorModel, modes: int = 3) -> Figure:
    """A figure of the model: the aligned poses, and the mean and first modes of each component.

    The modes are drawn at plus and minus two standard deviations.
    """
    from matplotlib.figure import Figure

    modes = min(modes, model.basis_size)
    rows = model.components
    result = Figure(figsize=(15, max(6, 2.2 * rows)), layout="constrained")
    halves: Any = result.subfigures(1, 2, width_ratios=[1, 1.15])
    left, right = halves
    draw_aligned_poses(left.subplots(), model)
    cells = right.subplots(rows, 1 + 2 * modes, squeeze=False)
    for k in range(rows):
        draw_pose(cells[k, 0], model.mean[k], skeleton=model.skeleton)
        cells[k, 0].set_title(f"mean {k + 1}", fontsize=9)
        for j in range(modes):
            for sign, cell in ((-2, cells[k, 1 + 2 * j]), (2, cells[k, 2 + 2 * j])):
                pose = model.mean[k] + sign * model.std[k, j] * model.basis[k, j]
                draw_pose(cell, pose, skeleton=model.skeleton)
                cell.set_title(f"mode {j + 1}, {sign:+d}", fontsize=9)
    return result


def landmarks_figure(pose: Float[np.ndarray, "L 3"]) -> Figure:
    """The landmarks of a pose, mm, by number and name, from its front and from its right.

    The world's axes are drawn beside it.
    """
    from matplotlib.figure import Figure

    result = Figure(figsize=(10, 6), layout="constrained")
    cells = result.subplots(1, 2)
    for cell, azimuth, axes in ((cells[0], 0, ("x", "y")), (cells[1], -90, ("z", "y"))):
        draw_pose(cell, pose, azimuth, linewidth=3)
        across = pose[:, 0] if azimuth == 0 else pose[:, 2]
        for i, (x, y) in enumerate(zip(across, pose[:, 1], strict=True)):
            # From the side these labels would overlap: the left is behind the right, and so on.
            if azimuth and HUMAN36M.landmarks[i].startswith(
                ("left", "right hip", "right shoulder")
            ):
                continue
            side = -1 if not azimuth and HUMAN36M.landmarks[i].startswith("right") else 1
            cell.annotate(
                f"{i} {HUMAN36M.landmarks[i]}",
                (x, y),
                (6 * side, 3 if i else 12),
                fontsize=9,
                textcoords="offset points",
                ha="right" if side < 0 else "left",
            )
        low = np.array([across.min() - 250, pose[:, 1].min() - 60])
        for way, name in zip(np.eye(2), axes, strict=True):
            cell.quiver(*low, *(200 * way), angles="xy", scale_units="xy", scale=1, width=0.006)
            cell.annotate(name, low + 225 * way, ha="center", va="center")
        cell.margins(0.25, 0.05)
    cells[0].set_title("facing us, +z; blue: right, red: left", fontsize=10)
    cells[1].set_title("from the person's right, facing +z", fontsize=10)
    return result


def describe(model: PriorModel) -> str:
    """The model in words: its sizes, standard deviations in mm, and what it was fitted to."""
    meta, mirror = model.meta, ", and their mirror images" if model.skeleton.mirrors else ""
    lines = [
        f"{model.components} components, {model.basis_size} basis vectors, "
        f"{len(model.skeleton)} landmarks, limb scale {model.scale_mm:.0f} mm",
        f"fitted by {meta.get('solver', 'unknown')} to {meta.get('poses', 'an unknown number of')}"
        f" poses{mirror}; seed {meta.get('seed', 'unknown')}",
    ]
    if meta.get("worse_minima"):
        lines.append(
            f"Ceres left {meta['worse_minima'][-1]} poses in a worse local minimum in the last "
            f"half-step, {max(meta['worse_minima'])} in the worst"
        )
    lines += [f"{key}: {meta[key]}" for key in ("source", "licence") if key in meta]
    for k in range(model.components):
        std = " ".join(f"{value:.0f}" for value in model.std[k, :8] * model.scale_mm)
        lines.append(
            f"component {k + 1}: weight {model.weight[k]:.3f}, noise "
            f"{model.noise_std[k] * model.scale_mm:.1f} mm, standard deviations {std}"
            f"{' ...' if model.basis_size > 8 else ''} mm"
        )
    return "\n".join(lines)
