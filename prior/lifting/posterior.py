"""How far the truth may be from a lifted pose: second moments of their difference.

A pose x of component k is N(mu, C), with C = e diag(std^2) e^T + noise_std^2 off the basis e, and
the landmarks at the scale of the body are P x + the detector's noise, P the weighted, centred
projection. The lifted pose is mu + K (landmarks - mu's), K its derivative with respect to the
landmarks at that scale (the exact one, with the estimated scale), so that

    truth - pose = (I - K P) (x - mu) - K noise.

That holds for the component and rotation of the pose. The spread over the others is added by the
law of total variance. reference.py has none of this; the tests draw poses from the model.

Shapes: N poses, P candidates, L landmarks, D = 2L, V = 3L, J the basis.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.camera import level_camera, turned, vertical_rotation
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import CandidateSearch
from prior.lifting.full import FullSearch
from prior.lifting.lifted import Lifted

# Combinations that are less probable than the best by more than this many nats do not count: less
# than a thousandth.
REACH = 7.0


def _centring(landmarks: int) -> Float[np.ndarray, "V V"]:
    """Subtracts the mean landmark: where the person stands is not part of a pose."""
    return np.kron(np.eye(landmarks) - 1 / landmarks, np.eye(3))


def moments(
    search: CandidateSearch, full: FullSearch, lifted: Lifted, spread: bool
) -> Float[np.ndarray, "N V V"]:
    """Second moments of (truth - pose), mm^2, by the search that lifted; NaN for poses that are
    not ok. spread: with the other components and rotations that are probable."""

    def of(part: Lifted) -> Float[np.ndarray, "n V V"]:
        if part.full is not None:
            result = full_moments(full, part)
            return result + spread_moments(_full_offsets(full, part)) if spread else result
        images = weak.observe(part.inputs)
        result = conditional_moments(search, images, part)
        return result + spread_moments(_offsets(search, images, part)) if spread else result

    size = 3 * len(search.model.skeleton)
    return _in_batches(of, lifted, (size, size))


def variance(
    search: CandidateSearch, full: FullSearch, lifted: Lifted, spread: bool
) -> Float[np.ndarray, "N L"]:
    """Mean squared distance of each landmark, mm^2: what `moments` says of it."""

    def of(part: Lifted) -> Float[np.ndarray, "n L"]:
        if part.full is not None:
            result = np.square(deviation(full_moments(full, part)))
            return result + spread_variance(_full_offsets(full, part)) if spread else result
        images = weak.observe(part.inputs)
        result = conditional_variance(search, images, part)
        return result + spread_variance(_offsets(search, images, part)) if spread else result

    return _in_batches(of, lifted, (len(search.model.skeleton),))


def deviation(moments: Float[np.ndarray, "N V V"]) -> Float[np.ndarray, "N L"]:
    """Standard deviation of each landmark, mm, of second moments: the root of the mean squared
    distance in 3D."""
    each = np.diagonal(moments, axis1=1, axis2=2).reshape(len(moments), -1, 3)
    return np.sqrt(each.sum(axis=2))


def _in_batches(
    of: Callable[[Lifted], np.ndarray], lifted: Lifted, shape: tuple[int, ...]
) -> np.ndarray:
    """A function of Lifted poses that are ok, for all of them: (N, *shape), NaN for the others."""
    result = np.full((len(lifted), *shape), np.nan)
    ok = np.flatnonzero(lifted.ok)
    for i in range(0, len(ok), weak.BATCH):
        rows = ok[i : i + weak.BATCH]
        result[rows] = of(lifted.take(rows))
    return result


class Estimate(NamedTuple):
    """How poses depend on the landmarks at scale 1. by_point: the derivative of the coefficients;
    view and centring: the projection is view times centring."""

    systems: weak.Systems
    by_point: Float[np.ndarray, "N J D"]
    view: Float[np.ndarray, "N 2 3"]
    centring: Float[np.ndarray, "N L L"]


def _estimate(search: CandidateSearch, images: weak.Observations, lifted: Lifted) -> Estimate:
    """The Estimate of each pose's component and rotation."""
    component, angle, weight = lifted.component, lifted.yaw + images.yaw, images.weight
    systems = search.projector.systems(component, angle, images.elevation, weight)
    view = (level_camera(images.elevation) @ vertical_rotation(angle))[:, :2]
    centring = weight[:, :, None] * (np.eye(weight.shape[1]) - weak.share(weight)[:, None])
    # Less what a change of the estimated scale does to the coefficients.
    prediction = systems.m + weak.apply(systems.G, lifted.coefficients)
    by_scale = weak.apply(systems.solve, prediction)[..., None] * systems.g[:, None]
    by_point = systems.solve - by_scale / systems.mqm[:, None, None]
    return Estimate(systems, by_point, view, centring)


def conditional_moments(
    search: CandidateSearch, images: weak.Observations, lifted: Lifted
) -> Float[np.ndarray, "N V V"]:
    """Second moments, mm^2, if component and rotation are those of the poses, all of them ok."""
    model, k = search.model, lifted.component
    L = len(model.skeleton)
    _, by_point, view, centring = _estimate(search, images, lifted)
    basis = model.basis.reshape(model.components, -1, 3 * L)
    project = np.einsum("ncd,nlm->nclmd", view, centring).reshape(len(k), 2 * L, 3 * L)
    gain = basis[k].swapaxes(1, 2) @ by_point
    rest = _centring(L) - gain @ project
    result = rest @ _prior_moments(search)[k] @ rest.swapaxes(1, 2)
    result += search.noise**2 * gain @ gain.swapaxes(1, 2)
    turn = np.kron(np.eye(L), vertical_rotation(lifted.yaw))
    return model.scale_mm**2 * turn @ result @ turn.swapaxes(1, 2)


def conditional_variance(
    search: CandidateSearch, images: weak.Observations, lifted: Lifted
) -> Float[np.ndarray, "N L"]:
    """Mean squared distance of each landmark, mm^2: sums of three of the diagonal of
    `conditional_moments`, without the rest of it."""
    model, k = search.model, lifted.component
    L = len(model.skeleton)
    systems, by_point, view, centring = _estimate(search, images, lifted)
    basis = model.basis.reshape(model.components, -1, 3 * L)[k].swapaxes(1, 2)
    gain, noise = basis @ by_point, model.noise_std[k] ** 2
    # C = noise centre + e (std^2 - noise) e^T, and P P^T = centring centring^T for x and for y.
    on_basis = basis - gain @ systems.G
    total = np.square(on_basis) @ (model.std[k] ** 2 - noise[:, None])[..., None]
    weight = noise[:, None, None] * centring @ centring.swapaxes(1, 2)
    weight[:, np.arange(L), np.arange(L)] += search.noise**2
    each = gain.reshape(len(k), -1, L)
    total = total.reshape(len(k), L, 3).sum(axis=2)
    total += ((each @ weight) * each).reshape(len(k), L, -1).sum(axis=2)
    # (m, d, c, l): what image coordinate (c, l) does to coordinate d of landmark m, and that to
    # the image coordinate.
    gain = gain.reshape(len(k), L, 3, 2, L)
    back = np.einsum("nmdcl,ncd->nml", gain, view)
    both = (back * centring.swapaxes(1, 2)).sum(axis=2)
    total += noise[:, None] * (3 * (1 - 1 / L) - 2 * both)
    return model.scale_mm**2 * total


def full_moments(full: FullSearch, lifted: Lifted) -> Float[np.ndarray, "N V V"]:
    """`conditional_moments` of what full.py lifts: P and K are the derivatives of the projections
    at the pose, and of the pose at the landmarks."""
    assert lifted.full is not None
    model, k, views = full.search.model, lifted.component, full.views(lifted)
    L = len(model.skeleton)
    scale, projections = lifted.scale[:, None], full.projections
    unknowns = np.concatenate([lifted.full.place, lifted.coefficients * scale, scale], axis=1)
    linear = projections.linearise(projections.columns(views), unknowns)
    # Coordinates of a landmark to its own projection, px: (n, 2, 3), over the denominator.
    matrix = views.matrix
    by_place = matrix[:, None, :2] - linear.projection[..., None] * matrix[:, None, 2:]
    by_place *= (scale / linear.denominator)[..., None, None]
    project = np.einsum("nlcd,lm->nlcmd", by_place, np.eye(L)).reshape(len(k), 2 * L, 3 * L)
    # The coefficients' derivatives by the points, row by row.
    by_point = np.empty((len(k), model.basis_size, 2 * L))
    for j in range(model.basis_size):
        inner = np.zeros_like(unknowns)
        inner[:, 2 + j], inner[:, -1] = 1 / scale[:, 0], -lifted.coefficients[:, j] / scale[:, 0]
        back = projections.pull_back(views, unknowns, inner, False)
        by_point[:, j] = back.reshape(len(k), -1)
    basis = model.basis.reshape(model.components, -1, 3 * L)
    gain = basis[k].swapaxes(1, 2) @ by_point
    # The detector's share of the noise that W makes alike; a missing landmark has no gain.
    precision = views.whitening.swapaxes(2, 3) @ views.whitening
    missing = ~precision.any(axis=(2, 3), keepdims=True)
    noise = np.linalg.inv(np.where(missing, np.eye(2), precision))
    noise *= full.search.nu[k][:, None, None, None]
    noise -= (model.noise_std[k] ** 2)[:, None, None, None] * np.eye(2)
    noise *= (scale**2)[..., None, None]
    spread = (gain.reshape(len(k), 3 * L, L, 1, 2) @ noise[:, None])[..., 0, :]
    rest = _centring(L) - gain @ project
    result = rest @ _prior_moments(full.search)[k] @ rest.swapaxes(1, 2)
    result += spread.reshape(gain.shape) @ gain.swapaxes(1, 2)
    turn = np.kron(np.eye(L), vertical_rotation(lifted.yaw))
    return model.scale_mm**2 * turn @ result @ turn.swapaxes(1, 2)


def _prior_moments(search: CandidateSearch) -> Float[np.ndarray, "K V V"]:
    """Covariances of the components' poses, in units of limb scale."""
    model = search.model
    L = len(model.skeleton)
    basis = model.basis.reshape(model.components, -1, 3 * L)
    outside = np.stack([_centring(L) - e.T @ e for e in basis])
    prior = np.stack([(e.T * std**2) @ e for e, std in zip(basis, model.std, strict=True)])
    return prior + model.noise_std[:, None, None] ** 2 * outside


class Offsets(NamedTuple):
    """What other combinations say of n poses, pose by pose: offset from it, mm; weight, of sum 1
    for each pose; start: where each pose starts."""

    offset: Float[np.ndarray, "P V"]
    weight: Float[np.ndarray, "P"]
    start: Int[np.ndarray, "n"]


def _offsets(search: CandidateSearch, images: weak.Observations, lifted: Lifted) -> Offsets:
    """The Offsets of all combinations within REACH; each pose has one at least."""
    candidates, _ = search.near_best(images, reach=REACH)
    projected = search.project(images, candidates)
    shape = projected.shape.swapaxes(1, 2) / candidates.solution[:, :1, None]
    pose = turned(search.model.scale_mm * shape, -images.yaw[candidates.row])
    offset = (pose - lifted.pose[candidates.row]).reshape(len(pose), -1)
    return weighted(candidates.row, offset, projected.log_density)


def _full_offsets(full: FullSearch, lifted: Lifted) -> Offsets:
    """As _offsets, of what full.py lifts."""
    solved = full.candidates(lifted.inputs, reach=REACH)
    keep = solved.ok
    offset = (solved.pose - lifted.pose[solved.row]).reshape(len(solved.row), -1)
    return weighted(solved.row[keep], offset[keep], solved.log_density[keep])


def weighted(
    row: Int[np.ndarray, "P"],
    offset: Float[np.ndarray, "P V"],
    log_density: Float[np.ndarray, "P"],
) -> Offsets:
    """The Offsets of rows in any order, by their log densities."""
    order = np.argsort(row, kind="stable")
    offset, log_density = offset[order], log_density[order]
    start = np.flatnonzero(np.diff(row[order], prepend=-1))
    count = np.diff(np.append(start, len(row)))
    weight = np.exp(log_density - np.repeat(np.maximum.reduceat(log_density, start), count))
    weight /= np.repeat(np.add.reduceat(weight, start), count)
    return Offsets(offset, weight, start)


def spread_moments(offsets: Offsets) -> Float[np.ndarray, "n V V"]:
    """Second moments, mm^2, of the Offsets of each row."""
    scaled = offsets.offset * np.sqrt(offsets.weight)[:, None]
    return np.stack([a.T @ a for a in np.split(scaled, offsets.start[1:])])


def spread_variance(offsets: Offsets) -> Float[np.ndarray, "n L"]:
    """Mean squared distance of each landmark, mm^2: as `spread_moments` has it."""
    squared = np.square(offsets.offset).reshape(len(offsets.offset), -1, 3).sum(axis=2)
    return np.add.reduceat(offsets.weight[:, None] * squared, offsets.start)
