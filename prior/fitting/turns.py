"""Alignment of poses of a skeleton that has no vertical: equation 1 over all rotations.

As prior.fitting.alignment, in two half-steps, with the same objective. The rotation of a pose has
three angles, and its distance from the model no closed form: it is minimised by Gauss-Newton from
the lowest of rotations that are sampled evenly, and from where the pose was. The initial mean is
that of poses put on one of them by Procrustes analysis.

Rotations are quaternions (w, x, y, z); a pose P turned back by R is P R, each landmark p -> R^T p.
"""

from functools import partial, reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from prior import ppca
from prior.chunks import Passes, over_rows
from prior.fitting.alignment import (
    Alignment,
    Method,
    Poses,
    Progress,
    Step,
    with_mirror_images,
)
from prior.normalise import from_rows, turned_back
from prior.skeleton import Skeleton

# Rotations from which the distance of a pose is minimised: 72 are 42 degrees apart, and the lowest
# STARTS of them, and the pose's last one, are followed.
SAMPLED, STARTS = 72, 3

# Steps of Gauss-Newton; from 20 degrees away six reach 1e-6.
STEPS = 12

# Poses of which the initial mean is made, references that are tried for it, and rounds of each.
SUBSAMPLE, REFERENCES, ROUNDS = 1000, 8, 8


def even_rotations(count: int) -> Float[np.ndarray, "{count} 4"]:
    """Quaternions spread evenly over all rotations: super-Fibonacci spirals (Alexa, CVPR 2022)."""
    s = np.arange(count) + 0.5
    inner, outer = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / 1.533751168755204288118041
    spirals = (
        inner * np.sin(alpha),
        inner * np.cos(alpha),
        outer * np.sin(beta),
        outer * np.cos(beta),
    )
    return np.stack(spirals, axis=1)


def matrices(turns: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 3 3"]:
    """The rotation matrices of quaternions."""
    return Rotation.from_quat(turns, scalar_first=True).as_matrix()


class Curves(NamedTuple):
    """Squared Mahalanobis distances of n poses as functions of their rotations R.

    turning (n, 1 + J, 9): of the mean and of the scaled basis vectors e, sum_l p_l e_l^T, whose
    inner product with R is that of e with the pose turned back; fixed (J,), the mean's part in the
    coefficients; constant (n,); moment (n, 3, 3), sum_l p_l p_l^T; noise, the variance.
    """

    turning: Float[np.ndarray, "n S 9"]
    fixed: Float[np.ndarray, "J"]
    constant: Float[np.ndarray, "n"]
    moment: Float[np.ndarray, "n 3 3"]
    noise: float

    def at(self, rotations: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n"]:
        """The distances at these rotations."""
        products = np.einsum("nsd,nd->ns", self.turning, rotations.reshape(-1, 9))
        return self._distance(products)

    def at_each(self, rotations: Float[np.ndarray, "G 3 3"]) -> Float[np.ndarray, "n G"]:
        """The distances at each of G rotations."""
        products = (self.turning @ rotations.reshape(-1, 9).T).swapaxes(1, 2)
        return self._distance(products.reshape(-1, products.shape[2]), len(rotations)).reshape(
            len(self.constant), -1
        )

    def _distance(self, products: Float[np.ndarray, "m S"], times: int = 1) -> np.ndarray:
        coefficients = products[:, 1:] - self.fixed
        constant = np.repeat(self.constant, times)
        return constant - 2 * products[:, 0] / self.noise - (coefficients**2).sum(axis=1)

    def step(
        self, rotations: Float[np.ndarray, "n 3 3"], damping: Float[np.ndarray, "n"]
    ) -> Float[np.ndarray, "n 3 3"]:
        """The rotations after a damped step of Gauss-Newton, by vectors w: R -> R exp([w])."""
        # By w_k the inner product <R, T> changes by that of R [axis k] and T.
        ways = np.einsum("nab,kbc->nkac", rotations, _AXES).reshape(len(rotations), 3, 9)
        slope = np.einsum("nkd,nsd->nsk", ways, self.turning)
        products = np.einsum("nsd,nd->ns", self.turning, rotations.reshape(-1, 9))
        coefficients = products[:, 1:] - self.fixed
        inner, by_basis = slope[:, 0], slope[:, 1:]
        gradient = -inner / self.noise - np.einsum("nj,njk->nk", coefficients, by_basis)
        turned = np.einsum("nba,nbc,ncd->nad", rotations, self.moment, rotations)
        trace = np.trace(turned, axis1=1, axis2=2)
        inertia = trace[:, None, None] * np.eye(3) - turned
        hessian = inertia / self.noise - np.einsum("njk,njm->nkm", by_basis, by_basis)
        hessian += (damping * trace / self.noise)[:, None, None] * np.eye(3)
        move = np.linalg.solve(hessian, -gradient[..., None])[..., 0]
        return rotations @ Rotation.from_rotvec(move).as_matrix()

    def take(self, rows: np.ndarray) -> "Curves":
        """The Curves of these poses."""
        return Curves(
            self.turning[rows], self.fixed, self.constant[rows], self.moment[rows], self.noise
        )


# [e_k], the matrices of the cross products with the axes.
_AXES = np.array([
    [[0, 0, 0], [0, 0, -1], [0, 1, 0]],
    [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
    [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
], dtype=float)  # fmt: skip


def curves(rows: Float[np.ndarray, "n D"], model: ppca.PPCA) -> Curves:
    """The Curves of rows (normalise.to_rows) under the model, coefficients eliminated."""
    noise = model.noise_variance
    basis = np.sqrt(1 / noise - 1 / model.variance)[:, None] * model.basis
    poses, shapes = from_rows(rows), from_rows(np.concatenate([model.mean[None], basis]))
    turning = np.einsum("nla,slb->nsab", poses, shapes, optimize=True)
    constant = (np.einsum("nd,nd->n", rows, rows) + model.mean @ model.mean) / noise
    moment = np.einsum("nla,nlb->nab", poses, poses)
    return Curves(turning.reshape(len(rows), -1, 9), basis @ model.mean, constant, moment, noise)


def minimise(each: Curves, start: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """The lowest minima that Gauss-Newton reaches from `start`, and from the lowest STARTS of
    SAMPLED rotations."""
    grid = matrices(even_rotations(SAMPLED))
    lowest = np.argpartition(each.at_each(grid), STARTS, axis=1)[:, :STARTS]
    starts = np.concatenate([matrices(start)[:, None], grid[lowest]], axis=1)
    count = starts.shape[1]
    repeated = each.take(np.repeat(np.arange(len(start)), count))
    ends, distance = _descend(repeated, starts.reshape(-1, 3, 3))
    best = distance.reshape(-1, count).argmin(axis=1)
    chosen = ends.reshape(-1, count, 3, 3)[np.arange(len(start)), best]
    return Rotation.from_matrix(chosen).as_quat(canonical=True, scalar_first=True)


def _descend(
    each: Curves, rotations: Float[np.ndarray, "m 3 3"]
) -> tuple[Float[np.ndarray, "m 3 3"], Float[np.ndarray, "m"]]:
    """Gauss-Newton with Levenberg's damping: rotations and distances, none of them higher."""
    distance, damping = each.at(rotations), np.full(len(rotations), 1e-3)
    for _ in range(STEPS):
        tried = each.step(rotations, damping)
        reached = each.at(tried)
        better = reached <= distance
        rotations = np.where(better[:, None, None], tried, rotations)
        distance = np.where(better, reached, distance)
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-9, 1e3)
    return rotations, distance


def procrustes(
    poses: Float[np.ndarray, "n L 3"], onto: Float[np.ndarray, "L 3"]
) -> Float[np.ndarray, "n 4"]:
    """The rotations, as quaternions, by which poses are turned back to fit a shape best."""
    u, _, vt = np.linalg.svd(np.einsum("nla,lb->nab", poses, onto))
    sign = np.ones((len(poses), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    return Rotation.from_matrix((u * sign[:, None]) @ vt).as_quat(canonical=True, scalar_first=True)


def start(poses: Poses, skeleton: Skeleton, passes: Passes) -> Float[np.ndarray, "N 4"]:
    """The initial rotations: to the mean of some poses, of which the left is along +x if there is
    one."""
    chosen = np.linspace(0, len(poses) - 1, min(SUBSAMPLE, len(poses))).astype(int)
    shapes = from_rows(poses[chosen])
    best, lowest = shapes[0], np.inf
    for i in np.linspace(0, len(shapes) - 1, REFERENCES).astype(int):
        mean = shapes[i]
        for _ in range(ROUNDS):
            turned = shapes @ matrices(procrustes(shapes, mean))
            mean = turned.mean(axis=0)
        error = float(np.square(turned - mean).sum())
        if error < lowest:
            best, lowest = mean, error
    best = facing_forward(best, skeleton)
    parts = passes(partial(_procrustes_part, onto=best), poses)
    return np.concatenate(list(parts))


def _procrustes_part(
    rows: Float[np.ndarray, "n D"], onto: Float[np.ndarray, "L 3"]
) -> Float[np.ndarray, "n 4"]:
    return procrustes(from_rows(rows), onto)


def facing_forward(mean: Float[np.ndarray, "L 3"], skeleton: Skeleton) -> Float[np.ndarray, "L 3"]:
    """A shape turned so that its mirror image is x negated, and symmetric; without pairs as it
    is."""
    if not skeleton.mirrors:
        return mean
    # The improper rotation that fits the shape with left and right exchanged to the shape is a
    # reflection, whose axis is from right to left.
    u, _, vt = np.linalg.svd(mean[skeleton.mirror].T @ mean)
    sign = np.array([1, 1, -np.sign(np.linalg.det(u @ vt))])
    reflection = (u * sign) @ vt
    values, vectors = np.linalg.eigh((reflection + reflection.T) / 2)
    axis = vectors[:, values.argmin()]
    left, right = skeleton.across
    axis = axis * np.sign((mean[left].sum(axis=0) - mean[right].sum(axis=0)) @ axis)
    other = np.linalg.svd(axis[None])[2][1:]
    frame = np.stack([axis, *other])
    frame[2] *= np.sign(np.linalg.det(frame))
    turned = mean @ frame.T
    return (turned + skeleton.mirrored(turned)) / 2


def _rotate(
    rows: Float[np.ndarray, "n D"], last: Float[np.ndarray, "n 4"], model: ppca.PPCA
) -> tuple[Float[np.ndarray, "n 4"], float, ppca.Moments]:
    """A chunk's rotations, the sum of its distances, and its Moments without mirror images."""
    each = curves(rows, model)
    turns = minimise(each, last)
    return turns, float(each.at(matrices(turns)).sum()), _moments(rows, turns)


def _moments(rows: Float[np.ndarray, "n D"], turns: Float[np.ndarray, "n 4"]) -> ppca.Moments:
    return ppca.chunk_moments(turned_back(rows, turns))


def align(
    poses: Poses,
    basis: int,
    method: Method,
    skeleton: Skeleton,
    *,
    progress: Progress | None = None,
    passes: Passes = over_rows,
) -> Alignment:
    """As alignment.align, over all rotations: `yaw` of the result has quaternions (N, 4).

    Of the method, alternations, tolerance and limit count, and whether it is annealed.
    """
    history: list[Step] = []

    def record(size: int, half_step: str, nll: float) -> None:
        history.append(Step(size, half_step, nll, None, len(poses)))
        if progress:
            progress(history[-1])

    def fitted(moments: ppca.Moments, size: int) -> ppca.PPCA:
        model = ppca.fit(moments, size)
        record(size, "ppca", ppca.nll(model))
        return model

    def rotated(
        turns: Float[np.ndarray, "N 4"], model: ppca.PPCA
    ) -> tuple[Float[np.ndarray, "N 4"], ppca.Moments]:
        parts = passes(partial(_rotate, model=model), poses, turns)
        new, totals, moments = zip(*parts, strict=True)
        constant = ppca.log_determinant(model) + model.mean.size * np.log(2 * np.pi)
        record(len(model.variance), "rotation", float(sum(totals) / len(poses) + constant) / 2)
        return np.concatenate(new), with_mirror_images(reduce(ppca.merge, moments), skeleton)

    turns = start(poses, skeleton, passes)
    moments = with_mirror_images(reduce(ppca.merge, passes(_moments, poses, turns)), skeleton)
    ppca.fit(moments, basis)  # an impossible basis size is an error now, not after smaller ones
    for size in range(1, basis) if method.annealed else ():
        for _ in range(method.alternations):
            turns, moments = rotated(turns, fitted(moments, size))
    model, converged = fitted(moments, basis), False
    for _ in range(method.limit):
        before = history[-1].nll
        turns, moments = rotated(turns, model)
        model = fitted(moments, basis)
        converged = before - history[-1].nll < method.tolerance
        if converged:
            break
    return Alignment(turns, model, history, converged)
