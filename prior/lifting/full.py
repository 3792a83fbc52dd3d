"""Lifting by full perspective and with a covariance for each landmark.

Most combinations of rotation and component are ruled out by weak perspective: the camera is turned
toward each person, which is exact, and the landmarks are moved to where weak perspective would see
them, by the depths of the best pose so far. Where the landmarks are alike that takes the tables
that all images share; where they are not, unlike.py does it. The few that may be the best are then
solved in full (perspective.py), and compared by their densities.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.camera import compose, focal_length, turned, vertical_rotation
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import Candidates, CandidateSearch, choose
from prior.lifting.compiled import compiled
from prior.lifting.least_squares import LeastSquares, Solution
from prior.lifting.lifted import Described, Lifted
from prior.lifting.perspective import Views
from prior.lifting.runs import runs
from prior.lifting.toward import Toward, toward_persons
from prior.lifting.two_by_two import inverse_root
from prior.lifting.unlike import DEPTHS, Known, UnlikeSearch, rare
from prior.lifting.weak_perspective import Inputs

# Times that the depths of the best pose move the landmarks before the candidates are taken. After
# two, on held-out motion capture, more only go to and fro between poses that are as probable.
ROUNDS = 2

# Candidates are those within so many nats of the best by weak perspective. Our choice:
# tests/prior/lifting/test_unlike.py has what others would have been better by.
REACH = 1.0

# What weak perspective takes wrong in a person's depth is more nats the less the noise. With less
# noise at the body than this, mm, REACH and DOUBT grow with the square of the ratio of variances,
# so that with hardly any all combinations are solved. Our choice: what lifter.NOISE_MM is, with
# which REACH was measured.
USUAL_NOISE_MM = 20.0

# Of these, candidates are solved to the end that are within so many nats of the best after one
# step: our choice, and the same test has what that loses.
DOUBT = 0.02

# Poses handled at once by one thread, so that all cores have some of a few thousand. Our choice:
# fewer share fewer tables.
CHUNK = 1024

# With so many nats of reach, which is below some 6 mm of noise, hardly a combination is ruled out,
# and those of a pose take a megabyte: an eighth of the poses are then handled at once. Our choice.
ALL = 100.0


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
    """Lifts with what CandidateSearch leaves over, solved in full. chunk: poses handled at once."""

    def __init__(self, search: CandidateSearch) -> None:
        self.search = search
        self.projections = LeastSquares(search.model, search.nu)
        self.unlike = UnlikeSearch(search, self.projections)
        ratio = USUAL_NOISE_MM**2 / (search.nu.min() * search.model.scale_mm**2)
        self._more = max(1.0, ratio) ** 2
        self.chunk = CHUNK if self._more * REACH < ALL else CHUNK // 8

    def rare(self, inputs: Inputs) -> Bool[np.ndarray, "N"]:
        """Which of the Inputs have candidates by UnlikeSearch: as `rare`, but by the criterion of
        the density alone."""
        return rare(inputs) & (not self.search.by_cost)

    def known(self, inputs: Inputs, lifted: Lifted) -> Known:
        """What a Lifted says of the persons of Inputs."""
        toward = toward_persons(inputs)
        scale = np.where(lifted.scale > 0, lifted.scale, 1)
        if inputs.intrinsics is None:
            return Known(scale, np.zeros(inputs.points.shape[:2]))
        scale = scale * toward.turn[:, 2, 2]
        away = (lifted.pose @ toward.inputs.camera[:, 2, :, None])[..., 0]
        share = scale / (self.search.model.scale_mm * toward.focal)
        return Known(scale, np.clip(away * share[:, None], *DEPTHS))

    def with_tilt(self, inputs: Inputs, shared: bool = False) -> Inputs:
        """The Inputs with cameras of the most probable tilt, of each or shared by all; of theirs
        only the yaw counts."""
        toward = toward_persons(inputs)
        angles = toward.inputs.angles() * [[0], [0], [1]]
        tilted = compose(*self.search.tilt(weak.observe(toward.inputs, angles), shared))
        return inputs._replace(camera=toward.turn.swapaxes(1, 2) @ tilted, one_camera=False)

    def candidates(
        self,
        inputs: Inputs,
        refine: bool = False,
        reach: float | None = REACH,
        known: Known | None = None,
        doubt: float = np.inf,
    ) -> Solved:
        """The candidates of the Inputs, solved. reach: all within so many nats of the best, by weak
        perspective; None: what that cannot tell from the best. doubt: of these, those within so
        many nats of the best after a step. known: what a lift before said of the persons, for
        landmarks that are not alike."""
        toward = toward_persons(inputs)
        images = weak.observe(toward.inputs)
        if inputs.intrinsics is not None:
            reach, doubt = None if reach is None else self._more * reach, self._more * doubt
        if self.rare(inputs).any():
            of, probability = self.unlike.combinations(
                inputs, toward, images, known, refine, reach or 0.0
            )
            row, component, rotation, angle = of[:4]
            if of.weakly is None:
                start, scale = np.zeros((len(row), self.search.model.basis_size + 3)), of.scale
            else:
                middle = weak.rolled(of.weakly[:, :2].T[:, None], images.roll[row])[:, 0]
                start = self._in_camera(inputs, toward, row, middle.T, of.weakly[:, 2:])
                scale = start[:, -1]
        else:
            for _ in range(ROUNDS if inputs.intrinsics is not None else 0):
                images = self._undone(toward, images)
            candidates, probability = self.search.near_best(images, refine, reach, rough=True)
            if refine:
                candidates = self.search.refined(images, candidates)
            start = self._start(inputs, toward, images, candidates)
            row, component, rotation, angle = candidates[:4]
            scale = start[:, -1]
        # By another scale than its own a candidate's covariances would change its density, the more
        # the less the landmarks tell.
        yaw = angle - images.yaw[row]
        views = self._views(inputs, images, row, component, yaw, scale)
        # By weak perspective a step is the solution.
        if np.isfinite(doubt) and inputs.intrinsics is not None:
            start, kept = self._likely(row, views, start, doubt)
            row, component, rotation, yaw = (a[kept] for a in (row, component, rotation, yaw))
            views = views.take(kept)
        solution = self.projections.solve(views, start)
        return Solved(
            row,
            component,
            rotation,
            np.remainder(yaw + np.pi, 2 * np.pi) - np.pi,
            self.poses(component, yaw, solution.unknowns),
            views,
            solution,
            solution.log_density + self.search.log_prior[component],
            images.ok[row] & solution.ok,
            probability,
        )

    def _likely(
        self, row: Int[np.ndarray, "P"], views: Views, start: Float[np.ndarray, "P C"], doubt: float
    ) -> tuple[Float[np.ndarray, "Q C"], Int[np.ndarray, "Q"]]:
        """Where a step leads the candidates of these rows that are then within `doubt` nats of the
        best, or not known to be or not; and which these are."""
        start, density = self.projections.approach(views, start)
        density = density + self.search.log_prior[views.component]
        best = np.full(row.max(initial=0) + 1, -np.inf)
        np.fmax.at(best, row, density)
        # Where all are lost the first is as good as any.
        kept = (density >= best[row] - doubt) | np.isnan(density) | ~np.isfinite(best[row])
        kept = np.flatnonzero(kept)
        return start[kept], kept

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

    def lift(
        self,
        inputs: Inputs,
        refine: bool = False,
        known: Known | None = None,
        reach: float = REACH,
    ) -> Iterator[Described]:
        """The results by the names of the fields of Lifted and Full; known, reach: as of
        `candidates`."""
        unlike = self.rare(inputs)
        for rows in (np.flatnonzero(~unlike), np.flatnonzero(unlike)):
            if len(rows) == len(unlike):
                yield slice(None), self._lift(inputs, refine, known, reach)
            elif len(rows):
                of_rows = None if known is None else Known(*(a[rows] for a in known))
                yield rows, self._lift(inputs.take(rows), refine, of_rows, reach)

    def _lift(
        self, inputs: Inputs, refine: bool, known: Known | None, reach: float
    ) -> dict[str, np.ndarray]:
        """`lift` of Inputs that are all alike, or none."""
        by_cost = self.search.by_cost
        if by_cost:
            solved = self.candidates(inputs, refine, None, known)
        else:
            solved = self.candidates(inputs, refine, reach, known, DOUBT)
        cost = np.where(solved.solution.ok, solved.solution.cost, np.inf)
        # One for each row, in the order of the rows.
        best = choose(solved.row, solved.component, cost, solved.log_density, by_cost)
        best = best[np.argsort(solved.row[best])]
        return self.described(inputs, solved, best)

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
        depth = np.empty((len(images.ok), len(self.search.model.skeleton)))
        depth[best.row] = self.unlike.depths(images, best, toward.focal)
        points = toward.inputs.points * (1 + depth)[..., None]
        return weak.observe(toward.inputs._replace(points=points))

    def _start(
        self, inputs: Inputs, toward: Toward, images: weak.Observations, candidates: Candidates
    ) -> Float[np.ndarray, "P C"]:
        """Unknowns of perspective.py for Candidates of weak perspective in the turned cameras."""
        row = candidates.row
        flat = self.search.project(images, candidates).flat
        middle = -np.einsum("pl,pcl->cp", weak.share(images.weight[row]), flat)
        middle = weak.rolled(middle[:, None], images.roll[row])[:, 0]
        place = images.centre[row] + (images.size[row] * middle).T
        unknowns = np.roll(candidates.solution, -1, axis=1) * images.size[row, None]
        return self._in_camera(inputs, toward, row, place, unknowns)

    def _in_camera(
        self,
        inputs: Inputs,
        toward: Toward,
        row: Int[np.ndarray, "P"],
        place: Float[np.ndarray, "P 2"],
        unknowns: Float[np.ndarray, "P S"],
    ) -> Float[np.ndarray, "P C"]:
        """Unknowns of perspective.py from those in the turned cameras, px: the place, and s a and
        s."""
        if inputs.intrinsics is not None:
            # Where the mean landmark is in the camera's axes, divided by its depth.
            at = np.concatenate([place / toward.focal[row, None], np.ones((len(row), 1))], axis=1)
            at = (toward.turn[row].swapaxes(1, 2) @ at[..., None])[..., 0]
            unknowns = unknowns / at[:, 2:]
            place = (inputs.intrinsics[row, :2] @ (at / at[:, 2:])[..., None])[..., 0]
        return np.concatenate([place, unknowns], axis=1)

    def whitening(
        self,
        inputs: Inputs,
        weight: Float[np.ndarray, "P L"],
        scale: Float[np.ndarray, "P"],
        component: Int[np.ndarray, "P"],
    ) -> Float[np.ndarray, "P L 2 2"]:
        """W of Views of persons of this scale; weight: confidences, 0 of missing landmarks."""
        covariance, body = np.zeros((1, 1, 2, 2)), self.search.nu
        if inputs.covariance is not None:
            covariance = inputs.covariance.copy()
            body = self.search.model.noise_std**2
        return _whitenings(covariance, weight, scale.copy(), component, body, self.search.nu)

    def _views(
        self,
        inputs: Inputs,
        images: weak.Observations,
        row: Int[np.ndarray, "P"],
        component: Int[np.ndarray, "P"],
        yaw: Float[np.ndarray, "P"],
        scale: Float[np.ndarray, "P"],
    ) -> Views:
        """How candidates at these yaws are seen by the cameras before these were turned. scale: px
        per unit of limb scale, which makes a covariance in px one of the body; negative of who is
        upside down."""
        own = inputs.take(row)
        # What cannot be lifted is solved as if all were in one place.
        lost = ~images.ok[row, None]
        visible = ~np.isnan(own.points).any(axis=2)
        weight = np.where(visible, 1.0 if own.confidence is None else own.confidence, 0)
        whitening = self.whitening(own, np.where(lost, 1, weight), scale, component)
        points = np.where(lost[..., None], 0, own.points)
        return Views(component, matrices(own, yaw), points, whitening)


@compiled
def _whitenings(
    covariance: Float[np.ndarray, "_ _ 2 2"],
    weight: Float[np.ndarray, "P L"],
    scale: Float[np.ndarray, "P"],
    component: Int[np.ndarray, "P"],
    body: Float[np.ndarray, "K"],
    nu: Float[np.ndarray, "K"],
) -> Float[np.ndarray, "P L 2 2"]:
    """W of Views: the noise of body and detector together is nu (W^T W)^-1, in units of limb scale.
    covariance: in px^2, all 0 if there is but one; body: variances, limb scale^2."""
    P, L = weight.shape
    result = np.zeros((P, L, 2, 2))
    for p in range(P):
        k, size = component[p], scale[p] * scale[p] if scale[p] != 0 else 1.0
        for i in range(L):
            if not weight[p, i] > 0:
                continue
            a, b, d = body[k], 0.0, body[k]
            if covariance.shape[1] == L:
                c = covariance[p, i]
                a, b, d = a + c[0, 0] / size, c[0, 1] / size, d + c[1, 1] / size
            if not (a > 0 and d > 0 and a + abs(b) + d < np.inf):
                a, b, d = nu[k], 0.0, nu[k]  # Of a pose that is lost: nothing has checked it.
            first, across, last = inverse_root(a, b, d)
            share = weight[p, i] * np.sqrt(nu[k])
            result[p, i, 0, 0], result[p, i, 0, 1] = share * first, share * across
            result[p, i, 1, 1] = share * last
    return result


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
