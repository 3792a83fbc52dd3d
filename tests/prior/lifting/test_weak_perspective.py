"""The least squares of weak perspective beside numpy's, of rows written down one by one."""

import numpy as np
import pytest

from prior.camera import level_camera, vertical_rotation
from prior.lifting import weak_perspective as weak

COUNT = 8
NU = np.array([0.02, 0.03])


@pytest.fixture(scope="module")
def asked(model):
    """Arguments of Projector.solve: components in no order, unequal weights, a landmark missing."""
    random = np.random.default_rng(5)
    weight = random.uniform(0.3, 1, (COUNT, 17))
    weight[2, 5] = 0
    points = random.normal(size=(COUNT, 2, 17))
    mean = (weight[:, None] ** 2 * points).sum(axis=2) / (weight**2).sum(axis=1)[:, None]
    y = weight[:, None] * (points - mean[..., None])
    component = random.integers(0, 2, COUNT)
    return component, random.uniform(-3, 3, COUNT), random.uniform(-0.3, 0.7, COUNT), weight, y


def rows(model, k, angle, elevation, weight):
    """Weighted, centred projections (2 L, 1 + J) of mean and basis."""
    view = level_camera(np.array([elevation]))[0] @ vertical_rotation(np.array([angle]))[0]
    columns = []
    for shape in [model.mean[k], *model.basis[k]]:
        flat = np.array([(view @ landmark)[:2] for landmark in shape])
        middle = sum(w * w * at for w, at in zip(weight, flat, strict=True)) / np.sum(weight**2)
        columns.append((weight[:, None] * (flat - middle)).T.ravel())
    return np.column_stack(columns)


def test_the_solution_is_numpys(model, asked):
    solution, log_det = weak.Projector(model, NU).solve(*asked)
    for i in range(COUNT):
        k, angle, elevation, weight, y = (a[i] for a in asked)
        A = rows(model, k, angle, elevation, weight)
        ridge = np.diag(np.append(0, np.sqrt(NU[k]) / model.std[k]))
        whole = np.concatenate([A, ridge])
        twin = np.linalg.lstsq(whole, np.append(y.ravel(), np.zeros(len(ridge))))[0]
        np.testing.assert_allclose(solution[i], twin, atol=1e-9 * np.abs(twin).max())
        # Of centred landmarks all directions but two have the noise.
        noise = NU[k] * np.eye(34) + A[:, 1:] * model.std[k] ** 2 @ A[:, 1:].T
        spread = np.linalg.eigvalsh(noise)
        assert log_det[i] == pytest.approx(
            np.log(spread).sum() - 2 * (1 + np.sum(weight == 0)) * np.log(NU[k]), abs=1e-8
        )


def test_it_is_that_of_the_systems_and_their_maps(model, asked):
    projector = weak.Projector(model, NU)
    solution, log_det = projector.solve(*asked)
    maps = weak.linear_maps(projector.systems(*asked[:-1]))
    np.testing.assert_allclose(
        np.einsum("msd,md->ms", maps.solution, asked[-1].reshape(COUNT, -1)), solution, atol=1e-9
    )
    np.testing.assert_allclose(maps.log_det, log_det, atol=1e-9)


@pytest.mark.parametrize("confidence", [1e-20, 1e-100, 1e-200])
def test_landmarks_of_which_none_tells_a_thing_are_lost(lifter, confidence):
    """No pose is said to be lifted that was not."""
    points = np.random.default_rng(0).normal(size=(3, 17, 2)) * 100 + 300
    with pytest.warns(UserWarning, match="3 of 3 poses"):
        lifted = lifter.lift(points, confidence=np.full(17, confidence))
    assert not lifted.ok.any() and (lifted.log_likelihood == -np.inf).all()
    np.testing.assert_allclose(lifted.pose[0], lifter.model.scale_mm * lifter.model.mean[0])
