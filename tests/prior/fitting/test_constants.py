"""When EM ends and seeds stop, by what a fit does and not by the names of constants."""

import numpy as np
import pytest

from prior import ppca
from prior.fitting import fit, mixture
from tests.poses import random_poses


def overlapping(count=3000):
    """Rows of two components that overlap, so that EM takes many steps."""
    random = np.random.default_rng(4)
    far = random.random((count, 1)) < 0.4
    return random.normal(size=(count, 5)) * [3, 2, 1, 1, 1] + [3.0, 0, 0, 0, 0] * far


@pytest.mark.slow
def test_em_ends_when_a_step_gains_less_than_a_ten_thousandth_of_a_nat():
    """The default, against the steps that EM takes when it is not told to end."""
    rows = overlapping()
    seeds = rows[[0, 7]]
    steps = mixture.fit(rows, seeds, 2, tolerance=0.0, iterations=400).log_likelihood
    gains = np.diff(steps)
    first = int(np.flatnonzero(gains < 1e-4)[0])
    # Steps of another tolerance would be others: gains fall slowly here.
    assert first > 10 and gains[first - 1] >= 1e-4 and gains[first + 20] > 1e-6
    ended = mixture.fit(rows, seeds, 2)
    assert ended.converged and len(ended.log_likelihood) == first + 2
    np.testing.assert_allclose(ended.log_likelihood, steps[: first + 2], rtol=1e-12)


def test_seeds_are_sought_among_4000_poses(monkeypatch):
    sizes = []

    def greedy(poses, count, stop_distance):
        sizes.append((len(poses), stop_distance))
        return np.arange(count)

    monkeypatch.setattr(mixture, "greedy_seeds", greedy)
    aligned = fit.align(random_poses(4500), basis=2, solver="closed-form")
    fit.mix(aligned, components=1)
    assert sizes == [(4000, 0.2)]


def test_seeds_within_a_fifth_of_the_limb_scale_are_too_close():
    """Equation 2 stops where the next seed would be within 0.2 of another."""
    for distance, expected in ((0.19, 1), (0.21, 2)):
        rows = np.repeat([[0.0, 0], [distance, 0]], 10, axis=0)
        assert len(mixture.greedy_seeds(rows, 2)) == expected


def test_em_of_many_rows_begins_with_200_000():
    assert mixture.START == 200_000


@pytest.mark.slow
def test_em_gives_up_after_500_iterations():
    rows = overlapping(60)
    endless = mixture.fit(rows, rows[[0, 7]], 2, tolerance=-np.inf)
    assert len(endless.log_likelihood) == 500 and not endless.converged


def test_a_component_has_collapsed_below_a_thousandth_of_a_single_ones_noise():
    random = np.random.default_rng(0)
    rows, copies = random.normal(size=(600, 8)), random.normal(size=(50, 8))
    far = np.full(8, 100.0)
    single = ppca.fit(ppca.moments(np.concatenate([rows, np.tile(far, (50, 1))])), 2)
    noise = np.sqrt(single.noise_variance)
    for share, components in ((0.5e-3, 1), (2e-3, 2)):
        near_equal = far + share * noise * copies
        fitted = mixture.fit(np.concatenate([rows, near_equal]), np.stack([rows[0], far]), 2)
        assert len(fitted.components) == components
