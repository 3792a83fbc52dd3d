"""Pictures of a pose model, as the paper's figure 2, and its description in words."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax

from prior.fitting import mixture
from prior.normalise import to_rows
from prior.skeleton import LANDMARKS, LIMBS, L

COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860")
LEFT, RIGHT, MIDDLE = "#c44e52", "#4c72b0", "#555555"
# Of each limb (row of LIMBS): of the left side, the right side, the spine and head.
LIMB_COLOURS = [
    LEFT if child in (4, 5, 6, 11, 12, 13) else RIGHT if child in (1, 2, 3, 14, 15, 16) else MIDDLE
    for _, child in LIMBS
]


def seen_from(pose, azimuth=30.0):
    """A pose (L, 3), y up, flat, as seen from `azimuth` degrees beside its front: (L, 2)."""
    angle = np.deg2rad(azimuth)
    return np.stack([pose[:, 0] * np.cos(angle) - pose[:, 2] * np.sin(angle), pose[:, 1]], axis=1)


def draw_pose(axes, pose, azimuth=30.0, **style):
    """Draw a pose (L, 3), y up, on 2D axes, seen from `azimuth` degrees beside its front."""
    flat = seen_from(pose, azimuth)
    for (a, b), colour in zip(LIMBS, LIMB_COLOURS, strict=True):
        axes.plot(*flat[[a, b]].T, color=colour, **{"linewidth": 1.5} | style)
    axes.set_aspect("equal")
    axes.axis("off")


def draw_points(axes, points, **style):
    """Draw the limbs of a 2D pose (L, 2), px, on axes that show its image."""
    for (a, b), colour in zip(LIMBS, LIMB_COLOURS, strict=True):
        axes.plot(*points[[a, b]].T, color=colour, **{"linewidth": 1.5} | style)


def components_of(model, poses):
    """Probability of each component for aligned poses (N, L, 3): (N, K)."""
    return softmax(mixture.log_joint(to_rows(poses), model.parts, model.weight), axis=1)


def draw_aligned_poses(axes, model):
    """Figure 2: the aligned training poses in 2D PCA, coloured by component, with the skeletons of
    some of them, and of the seeds of the mixture (ringed)."""
    rows = model.sample.reshape(len(model.sample), -1).astype(float)
    mean = rows.mean(axis=0)
    _, _, axes2 = np.linalg.svd(rows - mean, full_matrices=False)
    axes2 = axes2[:2]
    flat = (rows - mean) @ axes2.T
    seeds = (model.seeds.reshape(len(model.seeds), -1) - mean) @ axes2.T
    component = components_of(model, model.sample.astype(float)).argmax(axis=1)
    for k in range(model.components):
        axes.scatter(
            *flat[component == k].T,
            s=6,
            color=COLOURS[k % len(COLOURS)],
            alpha=0.5,
            label=f"component {k + 1}, weight {model.weight[k]:.2f}",
        )
    axes.scatter(*seeds.T, s=130, facecolors="none", edgecolors="black", label="seeds")
    size = 0.12 * np.ptp(flat, axis=0).max()
    chosen = mixture.greedy_seeds(flat, 14, 0.8 * size)
    drawn = [(flat[i], model.sample[i]) for i in chosen]
    for place, pose in [*drawn, *zip(seeds, model.seeds, strict=True)]:
        figure = size * pose / np.abs(pose).max() * 0.5
        for (a, b), colour in zip(LIMBS, LIMB_COLOURS, strict=True):
            axes.plot(*(place[:, None] + figure[[a, b]].T[:2]), color=colour, linewidth=1)
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.set_aspect("equal")
    axes.legend(loc="best", fontsize=8)


def figure(model, modes=3):
    """A figure of the model: aligned poses, and the mean and first modes (at +-2 standard
    deviations) of each component."""
    modes = min(modes, model.basis_size)
    rows = model.components
    result = plt.figure(figsize=(15, max(6, 2.2 * rows)), layout="constrained")
    left, right = result.subfigures(1, 2, width_ratios=[1, 1.15])
    draw_aligned_poses(left.subplots(), model)
    cells = right.subplots(rows, 1 + 2 * modes, squeeze=False)
    for k in range(rows):
        draw_pose(cells[k, 0], model.mean[k])
        cells[k, 0].set_title(f"mean {k + 1}", fontsize=9)
        for j in range(modes):
            for sign, cell in ((-2, cells[k, 1 + 2 * j]), (2, cells[k, 2 + 2 * j])):
                draw_pose(cell, model.mean[k] + sign * model.std[k, j] * model.basis[k, j])
                cell.set_title(f"mode {j + 1}, {sign:+d}", fontsize=9)
    return result


def landmarks_figure(pose):
    """The 17 landmarks of a pose (L, 3), mm, by number and name, from the front and from its right,
    with the world's axes."""
    result, cells = plt.subplots(1, 2, figsize=(10, 6), layout="constrained")
    for cell, azimuth, axes in ((cells[0], 0, ("x", "y")), (cells[1], -90, ("z", "y"))):
        draw_pose(cell, pose, azimuth, linewidth=3)
        across = pose[:, 0] if azimuth == 0 else pose[:, 2]
        for i, (x, y) in enumerate(zip(across, pose[:, 1], strict=True)):
            # From the side the hips, the shoulders, and the left behind the right, would overlap.
            if azimuth and LANDMARKS[i].startswith(("left", "right hip", "right shoulder")):
                continue
            side = -1 if not azimuth and LANDMARKS[i].startswith("right") else 1
            cell.annotate(
                f"{i} {LANDMARKS[i]}",
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


def describe(model):
    """The model in words: sizes, standard deviations in mm, what it was fitted on."""
    meta = model.meta
    lines = [
        f"{model.components} components, {model.basis_size} basis vectors, {L} landmarks, "
        f"limb scale {model.scale_mm:.0f} mm",
        f"fitted by {meta.get('solver', 'unknown')} to {meta.get('poses', 'an unknown number of')}"
        f" poses, and their mirror images; seed {meta.get('seed', 'unknown')}",
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
