import logging

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal

from prior import ppca
from prior.fitting import mixture


@pytest.fixture
def clusters():
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 8)) * 3
    label = np.repeat([0, 1, 2], [300, 200, 100])
    spread = random.normal(size=(3, 2, 8))
    rows = centres[label] + np.einsum("nj,njd->nd", random.normal(size=(600, 2)), spread[label])
    return rows + random.normal(size=rows.shape) * 0.1, label, centres


def _greedy_twin(rows, count):
    distance = cdist(rows, rows)
    chosen = []
    for _ in range(count):
        costs = [distance[[*chosen, i]].min(axis=0).sum() for i in range(len(rows))]
        chosen.append(int(np.argmin(costs)))
    return chosen


def test_greedy_seeds_are_those_of_the_definition():
    rows = np.random.default_rng(1).normal(size=(80, 5))
    assert mixture.greedy_seeds(rows, 6, 0.0).tolist() == _greedy_twin(rows, 6)


def test_seeds_stop_when_too_close(clusters):
    rows, label, _ = clusters
    assert sorted(label[mixture.greedy_seeds(rows, 3, 0.0)]) == [0, 1, 2]
    assert len(mixture.greedy_seeds(rows, 10, stop_distance=6.0)) < 10


def test_em_never_goes_down_and_finds_the_clusters(clusters):
    rows, label, centres = clusters
    mixed = mixture.fit(rows, rows[mixture.greedy_seeds(rows, 3, 0.0)], 2)
    assert mixed.converged and (np.diff(mixed.log_likelihood) > -1e-9).all()
    np.testing.assert_allclose(mixed.weight, [0.5, 1 / 3, 1 / 6], atol=0.02)
    for component, centre in zip(mixed.components, centres, strict=True):
        np.testing.assert_allclose(component.mean, centre, atol=0.4)
        assert np.sqrt(component.noise_variance) == pytest.approx(0.1, rel=0.1)


def test_reported_likelihood_is_the_mixtures(clusters):
    rows, _, _ = clusters
    mixed = mixture.fit(rows, rows[[0, 400]], 2)
    density = sum(
        w * np.exp(ppca.log_density(rows, c))
        for w, c in zip(mixed.weight, mixed.components, strict=True)
    )
    # The last E-step is that of the parameters returned.
    assert mixed.log_likelihood[-1] == pytest.approx(np.log(density).mean())


def _em_twin(rows, seeds, size, iterations):
    """Log likelihoods per row and means of EM, by dense Gaussians and weighted covariances."""
    share = np.eye(len(seeds))[cdist(rows, seeds).argmin(axis=1)]
    likelihood = []
    for _ in range(iterations):
        weight, means, density = share.mean(axis=0), [], []
        for k, responsibility in enumerate(share.T):
            mean = np.average(rows, axis=0, weights=responsibility)
            values, vectors = np.linalg.eigh(np.cov(rows.T, aweights=responsibility, ddof=0))
            values[:-size] = values[:-size].mean()
            covariance = vectors @ np.diag(values) @ vectors.T
            density.append(weight[k] * multivariate_normal(mean, covariance).pdf(rows))
            means.append(mean)
        total = np.sum(density, axis=0)
        likelihood.append(np.log(total).mean())
        share = (density / total).T
    return likelihood, np.array(means), weight


def test_em_of_overlapping_components_is_the_twins():
    random = np.random.default_rng(4)
    rows = random.normal(size=(400, 5)) * [3, 2, 1, 1, 1] + [2.0, 0, 0, 0, 0] * (
        random.random((400, 1)) < 0.4
    )
    mixed = mixture.fit(rows, rows[[0, 7]], 2, tolerance=0.0, iterations=6)
    likelihood, means, weight = _em_twin(rows, rows[[0, 7]], 2, 6)
    order = np.argsort(-weight, kind="stable")
    np.testing.assert_allclose(mixed.log_likelihood, likelihood, rtol=1e-6)
    np.testing.assert_allclose([c.mean for c in mixed.components], means[order], atol=1e-5)
    np.testing.assert_allclose(mixed.weight, weight[order], atol=1e-6)


def test_a_component_that_collapses_on_copies_is_dropped_and_said(clusters, caplog):
    rows, _, _ = clusters
    copies = rows[0] + 100 + np.random.default_rng(0).normal(size=(50, 8)) * 1e-6
    mixed = mixture.fit(np.concatenate([rows, copies]), np.stack([rows[0], copies[0]]), 2)
    assert len(mixed.components) == 1 and "component 2 of 2 collapsed on 50.0 poses" in caplog.text


def test_one_component_is_ppca(clusters):
    rows, _, _ = clusters
    mixed = mixture.fit(rows, rows[:1], 3)
    single = ppca.fit(ppca.moments(rows), 3)
    np.testing.assert_allclose(mixed.components[0].basis, single.basis, atol=1e-9)
    np.testing.assert_allclose(mixed.components[0].variance, single.variance)


def test_an_emptied_component_is_dropped_and_said(clusters, caplog):
    rows, _, _ = clusters
    with caplog.at_level(logging.WARNING):
        mixed = mixture.fit(rows, np.stack([rows[0], rows[0] + 1e3]), 2)
    assert len(mixed.components) == 1 and mixed.weight.sum() == pytest.approx(1)
    assert "component 2 of 2 has 0.0 poses, too few for 2 basis vectors: dropped" in caplog.text


def test_a_start_with_some_of_the_rows_ends_where_all_do(clusters, monkeypatch):
    rows, _, _ = clusters
    seeds = rows[mixture.greedy_seeds(rows, 3, 0.0)]
    whole = mixture.fit(rows, seeds, 2, tolerance=1e-9)
    monkeypatch.setattr(mixture, "START", 300)
    reported = []
    mixed = mixture.fit(
        rows, seeds, 2, tolerance=1e-9, progress=lambda value, count: reported.append(count)
    )
    assert set(reported) == {300, 600} and reported == sorted(reported)
    assert mixed.log_likelihood[-1] == pytest.approx(whole.log_likelihood[-1], abs=1e-6)
    np.testing.assert_allclose(mixed.weight, whole.weight, atol=1e-4)
