import signal
import threading

import numpy as np
import pytest

from prior.camera import vertical_rotation
from prior.fitting import alignment, ceres
from prior.fitting.alignment import Method
from prior.fitting.distances import Distances, distances, minimise_closed_form
from prior.normalise import NormalisedPoses, from_rows, turned_back
from tests.poses import random_poses


def random_curves(count):
    # One valley and two, far apart and next to each other, next to equal and not.
    random = np.random.default_rng(1)
    harmonics = random.normal(size=(4, count)) * random.lognormal(size=(4, count))
    harmonics[:2, : count // 4] *= 1e-3
    return Distances(np.abs(harmonics).sum(axis=0), harmonics)


@pytest.fixture(scope="module")
def joint(poses, aligned):
    """The joint form's solution, a tenth of a radian and more from where it started."""
    start = aligned.yaw + np.linspace(0.1, 0.4, len(poses))
    return ceres.JointMinimiser(1).solve(poses[:], aligned.ppca, start)


def test_the_eliminated_form_ends_in_a_minimum_and_agrees_with_the_closed_form():
    curves = random_curves(400)
    minimise = ceres.YawMinimiser(1).solve
    best = minimise_closed_form(curves)
    lowest = curves.at(best)
    reached = curves.at(minimise(curves, best + 0.05))
    assert ((reached - lowest) / curves.constant < 1e-9).mean() > 0.98
    # From anywhere: never below the global minimum, at the bottom of a valley, and, for the poses
    # that share a problem together, never above where it started.
    yaw = minimise(curves, best + 2.5)
    value = curves.at(yaw)
    assert ((value - lowest) / curves.constant).min() > -1e-9
    start = curves.at(best + 2.5)
    for i in range(0, 400, ceres.TOGETHER):
        assert value[i : i + ceres.TOGETHER].sum() < start[i : i + ceres.TOGETHER].sum()
    for step in (-1e-3, 1e-3):
        assert (curves.at(yaw + step) > value - 1e-9 * curves.constant).all()
    assert (value > lowest + 1e-3 * curves.constant).any()


def test_a_pose_that_looks_alike_from_all_sides_keeps_its_yaw():
    straight = np.array([0.3, -1.2])
    yaw = ceres.YawMinimiser(1).solve(Distances(np.ones(2), np.zeros((4, 2))), straight)
    np.testing.assert_allclose(yaw, straight)


def test_equation_1_by_a_twin_in_loops_is_the_mahalanobis_distance(poses, aligned):
    rows, model, yaw = poses[:20], aligned.ppca, aligned.yaw[:20] + 0.3
    solution = ceres.JointSolution(yaw, ceres.best_coefficients(rows, model, yaw))
    value = ceres.equation_1(rows, model, solution)
    noise = model.noise_variance
    basis, mean = from_rows(model.basis), from_rows(model.mean)
    for n, pose in enumerate(from_rows(rows)):
        shape = mean + sum(a * e for a, e in zip(solution.coefficients[n], basis, strict=True))
        expected = np.sum((pose - shape @ vertical_rotation(yaw[n]).T) ** 2)
        for a, variance in zip(solution.coefficients[n], model.variance, strict=True):
            expected += a**2 * noise / (variance - noise)
        assert value[n] == pytest.approx(expected)
    np.testing.assert_allclose(value, noise * distances(rows, model).at(yaw), rtol=1e-9)


def test_the_joint_solution_is_stationary_and_a_minimum(poses, aligned, joint):
    # Central differences of equation 1 in the yaw and in every coefficient.
    def at(yaw, coefficients):
        return ceres.equation_1(poses[:], aligned.ppca, ceres.JointSolution(yaw, coefficients))

    step = 1e-4
    lowest = at(*joint)
    for along in step * np.eye(1 + len(aligned.ppca.variance)):
        above = at(joint.yaw + along[0], joint.coefficients + along[1:])
        below = at(joint.yaw - along[0], joint.coefficients - along[1:])
        bend = (above - 2 * lowest + below) / step**2
        assert (bend > 0).all()
        # The Newton step that the slope asks for: how far away the minimum still is.
        assert np.abs((above - below) / (2 * step) / bend).max() < 1e-5


def test_both_forms_end_in_the_same_poses_and_objective(poses, aligned, joint):
    rows, model = poses[:], aligned.ppca
    curves = distances(rows, model)
    yaw = ceres.YawMinimiser(1).solve(curves, aligned.yaw + np.linspace(0.1, 0.4, len(poses)))
    coefficients = ceres.best_coefficients(rows, model, yaw)
    np.testing.assert_allclose(
        ceres.equation_1(rows, model, joint), model.noise_variance * curves.at(yaw), rtol=1e-9
    )

    def shapes(solution):
        shape = model.mean + solution.coefficients @ model.basis
        return turned_back(shape, -solution.yaw)

    np.testing.assert_allclose(
        shapes(joint), shapes(ceres.JointSolution(yaw, coefficients)), atol=1e-6
    )


def test_alignment_by_both_forms_ends_in_the_same_objective(poses, aligned):
    # From next to an optimum, so that no pose is at a watershed between its valleys.
    start = aligned.yaw + 0.02 * np.sin(np.arange(len(poses)))
    joint, eliminated = (
        alignment.align(poses, 6, Method(solver, annealed=False), yaw=start)
        for solver in ("ceres-joint", "ceres-one-start")
    )
    assert joint.history[-1].nll == pytest.approx(eliminated.history[-1].nll, rel=1e-9)
    np.testing.assert_allclose(np.exp(1j * joint.yaw), np.exp(1j * eliminated.yaw), atol=1e-4)


def test_ceres_stays_where_the_closed_form_converged(poses, aligned):
    by_ceres, again = (
        alignment.align(poses, 6, Method(solver, annealed=False), yaw=aligned.yaw)
        for solver in ("ceres-one-start", "closed-form")
    )
    assert by_ceres.history[-1].nll == pytest.approx(again.history[-1].nll, rel=1e-6)
    assert not any(step.worse for step in by_ceres.history)
    assert aligned.converged and by_ceres.converged


@pytest.mark.parametrize("minimiser", [ceres.YawMinimiser, ceres.JointMinimiser])
def test_poses_in_a_worse_valley_are_counted_and_followed_up(poses, aligned, minimiser):
    opposite = aligned.yaw + np.where(np.arange(len(poses)) < 40, np.pi, 0)
    curves = distances(poses[:], aligned.ppca)
    best = minimise_closed_form(curves)
    lowest = curves.at(best)
    once, twice = (
        alignment.rotation_half_step(poses, opposite, aligned.ppca, minimiser(1), both_valleys=both)
        for both in (False, True)
    )
    assert once.worse == np.count_nonzero(curves.at(once.yaw) > lowest * (1 + 1e-6)) > 0
    assert twice.worse == 0 and twice.nll < once.nll
    np.testing.assert_allclose(np.exp(1j * twice.yaw), np.exp(1j * best), atol=1e-3)


@pytest.fixture(scope="module")
def many():
    return NormalisedPoses(random_poses(400))


@pytest.fixture(scope="module")
def ends(many):
    """The alignments of the same poses by these solvers."""
    solvers = (Method().solver, "ceres-one-start", "closed-form")
    return [alignment.align(many, 10, Method(solver)) for solver in solvers]


def test_the_default_ends_where_the_closed_form_does_and_one_start_may_not(ends):
    by_default, one_start, closed_form = (end.history[-1].nll for end in ends)
    assert by_default == pytest.approx(closed_form, rel=1e-6)
    assert not any(step.worse for step in ends[0].history)
    assert any(step.worse for step in ends[1].history)
    assert one_start > closed_form + 0.5


def test_what_one_start_loses_is_the_poses_in_the_other_valley(many, ends):
    # Their yaws alone, put right or wrong, lead from either end to the other.
    _, one_start, closed_form = ends
    apart = np.abs(np.angle(np.exp(1j * (one_start.yaw - closed_form.yaw)))) > np.pi / 2
    assert 0 < np.count_nonzero(apart) < 0.1 * len(many)
    # The basis has adapted to most of them: fewer count as in the worse valley by now.
    worse = [step.worse for step in one_start.history if step.worse is not None]
    assert worse[-1] < np.count_nonzero(apart)
    right, wrong = (
        alignment.align(many, 10, Method("ceres-one-start", annealed=False), yaw=yaw)
        for yaw in (
            np.where(apart, closed_form.yaw, one_start.yaw),
            np.where(apart, one_start.yaw, closed_form.yaw),
        )
    )
    assert right.history[-1].nll == pytest.approx(closed_form.history[-1].nll, abs=0.02)
    assert wrong.history[-1].nll == pytest.approx(one_start.history[-1].nll, abs=0.02)


def test_ctrl_c_that_another_thread_receives_waits_for_the_start_of_processes(monkeypatch):
    """Python would interrupt the main thread wherever it is; half started, loky never ends."""
    begun, whole = threading.Event(), []

    def receive():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        begun.set()

    def start_processes(*_, **__):
        threading.Thread(target=receive).start()
        begun.wait()
        whole.append(True)

    monkeypatch.setattr(ceres, "get_reusable_executor", start_processes)
    # A shell has its jobs in the background ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ceres.YawMinimiser(1)
        assert whole == [True]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
