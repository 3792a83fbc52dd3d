import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from prior import chunks, ppca


@pytest.fixture
def rows():
    random = np.random.default_rng(3)
    return (
        random.normal(size=(500, 4)) @ random.normal(size=(4, 9))
        + random.normal(size=(500, 9)) * np.linspace(0.1, 0.3, 9)
        + np.arange(9)
    )


def test_moments_add_up_over_chunks(rows, monkeypatch):
    weights = np.random.default_rng(0).random(len(rows))
    whole = ppca.moments(rows, weights)
    monkeypatch.setattr(chunks, "CHUNK", 37)
    chunked = ppca.moments(rows, weights)
    mean = np.average(rows, axis=0, weights=weights)
    for stats in (whole, chunked):
        np.testing.assert_allclose(stats.mean, mean)
        np.testing.assert_allclose(
            stats.scatter / stats.weight, np.cov(rows.T, aweights=weights, ddof=0)
        )


def test_log_density_is_the_gaussians(rows):
    model = ppca.fit(ppca.moments(rows), 3)
    covariance = model.basis.T @ np.diag(model.variance) @ model.basis
    covariance += model.noise_variance * (np.eye(9) - model.basis.T @ model.basis)
    expected = multivariate_normal(model.mean, covariance).logpdf(rows)
    np.testing.assert_allclose(ppca.log_density(rows, model), expected)


def test_agrees_with_scikit_learn(rows):
    # scikit-learn divides the covariance by n - 1: rows scaled about their mean make up for it.
    count = len(rows)
    scaled = rows.mean(axis=0) + (rows - rows.mean(axis=0)) * np.sqrt((count - 1) / count)
    oracle = PCA(3).fit(scaled)
    model = ppca.fit(ppca.moments(rows), 3)
    # Both noise models agree when each divides by the same count.
    same = ppca.fit(ppca.moments(scaled), 3)
    np.testing.assert_allclose(
        same.variance * count / (count - 1), oracle.explained_variance_, rtol=1e-10
    )
    oracle = PCA(3).fit(rows)
    exact = model._replace(
        variance=model.variance * count / (count - 1),
        noise_variance=model.noise_variance * count / (count - 1),
    )
    np.testing.assert_allclose(ppca.log_density(rows, exact), oracle.score_samples(rows))


def test_a_basis_larger_than_the_rank_is_refused(rows):
    with pytest.raises(ValueError, match="expected 1 to 3, one less than the rank .* got 4"):
        ppca.fit(ppca.moments(rows[:, :4]), 4)
    flat = rows[:5]  # five rows span four directions
    with pytest.raises(ValueError, match="expected 1 to 3"):
        ppca.fit(ppca.moments(flat), 4)
