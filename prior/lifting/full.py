"""Lifting by full perspective and with a covariance for each landmark.

Most combinations of rotation and component are ruled out by weak perspective, with the tables that
all images share: the camera is turned toward each person, which is exact, and the landmarks are
moved to where weak perspective would see them, by the depths of the best pose so far. The few that
may be the best are then solved in full (perspective.py), and compared by their densities.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.camera import compose, focal_length, turn_to_axis, turned, vertical_rotation
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import Candidates, CandidateSearch, choose, runs
from prior.lifting.lifted import Described, Lifted
from prior.lifting.perspective import Projections, Solution, Views
from prior.lifting.weak_perspective import Inputs

# Times that the depths of the best pose move the landmarks before the candidates are taken. After
# two, on held-out motion capture, more only go to and fro between poses that are as probable.
ROUNDS = 2

# Candidates are those within so many nats of the best by weak perspective. On held-out motion
# capture another one would have been better for 1 to 2 % of the poses.
REACH = 1.0

# The same where landmarks have covariances or weights, which weak perspective does without: 2 to
# 3 %.
REACH_UNLIKE = 7.0


class Toward(NamedTuple):
    """Images as cameras that are turned toward the persons take them. inputs: for weak
    perspective, points px about the axis; turn (N, 3, 3): from the axes of the cameras before;
    focal (N,), px; infinite for weak perspective."""

    inputs: Inputs
    turn: Float[np.ndarray, "N 3 3"]
    focal: Float[np.ndarray, "N"]


def toward_persons(inputs: Inputs) -> Toward:
    """The images turned; without intrinsics as they are, of confidences 1 and 0."""
    count, L = inputs.points.shape[:2]
    missing = np.asarray(np.isnan(inputs.points).any(axis=2))
    if inputs.confidence is not None:
        missing = missing | (inputs.confidence == 0)
    points = np.where(missing[..., None], np.nan, inputs.points)
    if inputs.intrinsics is None:
        flat = Inputs(points, inputs.camera, inputs.one_camera, None)
        return Toward(flat, np.broadcast_to(np.eye(3), (count, 3, 3)), np.full(count, np.inf))
    focal = focal_length(inputs.intrinsics)
    finite = np.asarray(np.isfinite(points).all(axis=2, keepdims=True))
    rays = np.concatenate([np.where(finite, points, 0), np.ones((count, L, 1))], axis=2)
    rays = rays @ np.linalg.inv(inputs.intrinsics).swapaxes(1, 2)
    middle = np.where(finite, rays / np.linalg.norm(rays, axis=2, keepdims=True), 0).sum(axis=1)
    middle = np.where(finite.any(axis=1), middle, [0, 0, 1])
    turn = turn_to_axis(middle)
    rays = rays @ turn.swapaxes(1, 2)
    # A ray that is not before the turned camera has no place in its image.
    ahead = finite & (rays[..., 2:] > 0)
    flat = focal[:, None, None] * rays[..., :2] / np.where(ahead, rays[..., 2:], 1)
    points = np.where(ahead, flat, np.where(missing[..., None], np.nan, np.inf))
    return Toward(Inputs(points, turn @ inputs.camera, False, None), turn, focal)


class Solved(NamedTuple):
    """P candidates of N images, sorted by component: row, the image; rotation as in Candidates;
    yaw, world; pose, mm; log_density with the prior of the combination; ok; probability (N, K), of
    the components by weak perspective."""

    row: Int[np.ndarray, "P"]
    component: Int[np.ndarray, "P"]
    rotation: Int[np.ndarray, "P"]
    yaw: Float[np.ndarray, "P"]
    pose: Float[np.ndarray, "P L 3"]
    views: Views
    solution: Solution
    log_density: Float[np.ndarray, "P"]
    ok: Bool[np.ndarray, "P"]
    probability: Float[np.ndarray, "N K"]


class FullSearch:
    """Lifts with what CandidateSearch leaves over, solved in full."""

    def __init__(self, search: CandidateSearch) -> None:
        self.search = search
        self.projections = Projections(search.model, search.nu)

    def with_tilt(self, inputs: Inputs, shared: bool = False) -> Inputs:
        """The Inputs with cameras of the most probable tilt, of each or shared by all; of theirs
        only the yaw counts."""
        toward = toward_persons(inputs)
        angles = toward.inputs.angles() * [[0], [0], [1]]
        tilted = compose(*self.search.tilt(weak.observe(toward.inputs, angles), shared))
        return inputs._replace(camera=toward.turn.swapaxes(1, 2) @ tilted, one_camera=False)

    def candidates(
        self, inputs: Inputs, refine: bool = False, reach: float | None = REACH
    ) -> Solved:
        """The candidates of the Inputs, solved. reach: all within so many nats of the best, by weak
        perspective; None: what that cannot tell from the best."""
        toward = toward_persons(inputs)
        images = weak.observe(toward.inputs)
        for _ in range(ROUNDS if inputs.intrinsics is not None else 0):
            images = self._undone(toward, images)
        candidates, probability = self.search.near_best(images, refine, reach, rough=True)
        if refine:
            candidates = self.search.refined(images, candidates)
        row, component = candidates.row, candidates.component
        yaw = candidates.angle - images.yaw[row]
        start = self._start(inputs, toward, images, candidates)
        views = self._views(inputs, images, candidates, start)
        solution = self.projections.solve(views, start)
        return Solved(
            row,
            component,
            candidates.rotation,
            np.remainder(yaw + np.pi, 2 * np.pi) - np.pi,
            self.poses(component, yaw, solution.unknowns),
            views,
            solution,
            solution.log_density + self.search.log_prior[component],
            images.ok[row] & solution.ok,
            probability,
        )

    def poses(
        self,
        component: Int[np.ndarray, "P"],
        yaw: Float[np.ndarray, "P"],
        unknowns: Float[np.ndarray, "P C"],
    ) -> Float[np.ndarray, "P L 3"]:
        """The poses, mm, of these unknowns."""
        model = self.search.model
        shape = np.empty((len(yaw), len(model.skeleton), 3))
        coefficients = coefficients_of(unknowns)
        for k, part in runs(component):
            shape[part] = model.mean[k] + np.tensordot(coefficients[part], model.basis[k], 1)
        return model.scale_mm * turned(shape, yaw)

    def lift(self, inputs: Inputs, refine: bool = False) -> Iterator[Described]:
        """The results by the names of the fields of Lifted and Full."""
        by_cost = self.search.by_cost
        confidence = inputs.confidence
        alike = confidence is None or np.isin(confidence, (0, 1)).all()
        reach = REACH if inputs.covariance is None and alike else REACH_UNLIKE
        solved = self.candidates(inputs, refine, None if by_cost else reach)
        cost = np.where(solved.solution.ok, solved.solution.cost, np.inf)
        # One for each row, in the order of the rows.
        best = choose(solved.row, solved.component, cost, solved.log_density, by_cost)
        best = best[np.argsort(solved.row[best])]
        yield slice(None), self.described(inputs, solved, best)

    def described(
        self, inputs: Inputs, solved: Solved, which: Int[np.ndarray, "N"]
    ) -> dict[str, np.ndarray]:
        """What one candidate for each of the Inputs says of its pose, by the names of the fields of
        Lifted and Full."""
        unknowns = solved.solution.unknowns[which]
        return {
            "pose": solved.pose[which],
            "projection": solved.solution.projection[which],
            "scale": unknowns[:, -1],
            "yaw": solved.yaw[which],
            "coefficients": coefficients_of(unknowns),
            "component": solved.component[which],
            "rotation": solved.rotation[which],
            "log_likelihood": solved.log_density[which],
            "component_probability": solved.probability,
            "ok": solved.ok[which],
            "place": unknowns[:, :2],
            "whitening": solved.views.whitening[which],
            "translation": self._translation(inputs, unknowns),
        }

    def views(self, lifted: Lifted) -> Views:
        """The Views of poses that are lifted."""
        assert lifted.full is not None
        return Views(
            lifted.component,
            matrices(lifted.inputs, lifted.yaw),
            lifted.inputs.points,
            lifted.full.whitening,
        )

    def _translation(
        self, inputs: Inputs, unknowns: Float[np.ndarray, "N C"]
    ) -> Float[np.ndarray, "N 3"]:
        """Full.translation of these unknowns."""
        if inputs.intrinsics is None:
            return np.full((len(unknowns), 3), np.nan)
        place = np.concatenate([unknowns[:, :2], np.ones((len(unknowns), 1))], axis=1)
        scale = np.where(unknowns[:, -1] == 0, 1, unknowns[:, -1])
        depth = self.search.model.scale_mm * focal_length(inputs.intrinsics) / scale
        ray = np.linalg.solve(inputs.intrinsics, place[..., None])[..., 0]
        return depth[:, None] * ray

    def _undone(self, toward: Toward, images: weak.Observations) -> weak.Observations:
        """The images with their landmarks where weak perspective would see them, by the depths of
        the most probable poses."""
        best = self.search.best(images, self.search.near_best(images, rough=True)[0])
        projected = self.search.project(images, best)
        elevation = images.elevation[best.row]
        depth = np.empty((len(images.ok), len(self.search.model.skeleton)))
        depth[best.row] = -(
            np.sin(elevation) * projected.height + np.cos(elevation) * projected.z
        ).T
        depth *= (images.size / toward.focal)[:, None]
        # A person that reaches the camera is none; the next round may say otherwise.
        depth = np.clip(depth, -0.5, 1)
        points = toward.inputs.points * (1 + depth)[..., None]
        return weak.observe(toward.inputs._replace(points=points))

    def _start(
        self, inputs: Inputs, toward: Toward, images: weak.Observations, candidates: Candidates
    ) -> Float[np.ndarray, "P C"]:
        """Unknowns of perspective.py for Candidates of weak perspective in the turned cameras."""
        row = candidates.row
        flat = self.search.project(images, candidates).flat
        middle = -(weak.share(np.take(images.weight, row, axis=1)) * flat).sum(axis=1)
        middle = weak.rolled(middle[:, None], images.roll[row])[:, 0]
        place = (images.centre[:, row] + images.size[row] * middle).T
        scale = candidates.solution[0] * images.size[row]
        if inputs.intrinsics is not None:
            # Where the mean landmark is in the camera's axes, divided by its depth.
            at = np.concatenate([place / toward.focal[row, None], np.ones((len(row), 1))], axis=1)
            at = (toward.turn[row].swapaxes(1, 2) @ at[..., None])[..., 0]
            scale = scale / at[:, 2]
            place = (inputs.intrinsics[row, :2] @ (at / at[:, 2:])[..., None])[..., 0]
        unit = np.where(candidates.solution[0] == 0, 1, candidates.solution[0])
        scaled = candidates.solution[1:] / unit * scale
        return np.concatenate([place, scaled.T, scale[:, None]], axis=1)

    def _views(
        self,
        inputs: Inputs,
        images: weak.Observations,
        candidates: Candidates,
        start: Float[np.ndarray, "P C"],
    ) -> Views:
        """How Candidates are seen by the cameras before these were turned."""
        row, component = candidates.row, candidates.component
        own = inputs.take(row)
        # What cannot be lifted is solved as if all were in one place.
        lost = ~images.ok[row, None]
        visible = lost | ~np.isnan(own.points).any(axis=2)
        weight = np.where(visible, 1.0 if own.confidence is None else own.confidence, 0)
        points = np.where(lost[..., None], 0, own.points)
        # A covariance is in px: the scale of the most probable pose makes it one of the body.
        scale = np.ones(len(images.ok))
        density = self.search.project(images, candidates).log_density
        best = choose(row, component, density, density, False)
        scale[row[best]] = np.where(start[best, -1] > 0, start[best, -1], 1)
        whitening = self._whitening(own, component, scale[row], np.where(lost, 1, weight))
        yaw = candidates.angle - images.yaw[row]
        return Views(component, matrices(own, yaw), points, whitening)

    def _whitening(
        self,
        inputs: Inputs,
        component: Int[np.ndarray, "P"],
        scale: Float[np.ndarray, "P"],
        weight: Float[np.ndarray, "P L"],
    ) -> Float[np.ndarray, "P L 2 2"]:
        """W of Views: the noise of body and detector together is nu (W^T W)^-1, in units of limb
        scale."""
        if inputs.covariance is None:
            return weight[..., None, None] * np.eye(2)
        body = self.search.model.noise_std[component] ** 2
        # Of what is missing the covariance does not matter.
        finite = np.isfinite(inputs.covariance).all(axis=(2, 3), keepdims=True)
        covariance = np.where(finite & (weight[..., None, None] > 0), inputs.covariance, np.eye(2))
        noise = covariance / (scale**2)[:, None, None, None] + body[:, None, None, None] * np.eye(2)
        root = np.sqrt(self.search.nu[component])[:, None, None, None]
        return weight[..., None, None] * root * np.linalg.inv(np.linalg.cholesky(noise))


def coefficients_of(unknowns: Float[np.ndarray, "P C"]) -> Float[np.ndarray, "P J"]:
    """a of perspective.py's unknowns; 0 where the scale is."""
    scale = unknowns[:, -1:]
    return np.where(scale == 0, 0, unknowns[:, 2:-1] / np.where(scale == 0, 1, scale))


def matrices(inputs: Inputs, yaw: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N 3 3"]:
    """The matrices of perspective.Views of persons at these yaws, radians."""
    turn = vertical_rotation(yaw)
    if inputs.intrinsics is None:
        return inputs.camera * np.array([1, 1, 0])[:, None] @ turn
    focal = focal_length(inputs.intrinsics)[:, None, None]
    return inputs.intrinsics @ inputs.camera / focal @ turn
