import numpy as np
import pytest
from loky import get_reusable_executor
from threadpoolctl import threadpool_limits

import prior
from prior import chunks
from tests.poses import random_poses


def test_slices_cover_the_rows_in_order():
    slices = list(chunks.each_chunk(lambda where: (where.start, where.stop), 10, 4))
    assert slices == [(0, 4), (4, 8), (8, 10)]
    assert list(chunks.each_chunk(lambda where: where, 0)) == []


def test_an_error_in_a_chunk_comes_out():
    def fail(where):
        if where.start:
            raise RuntimeError("chunk 2")

    with pytest.raises(RuntimeError, match="chunk 2"):
        list(chunks.each_chunk(fail, 100, 10))


def test_as_many_cores_as_numpy_may_use():
    with threadpool_limits(1):
        assert chunks.cores() == 1


@pytest.mark.slow
def test_any_number_of_cores_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 64)
    poses = random_poses(300)
    options = {"components": 2, "basis": 8, "solver": "closed-form"}
    prior.fit(poses, **options).save(tmp_path / "many.npz")
    with threadpool_limits(1):
        prior.fit(poses, **options).save(tmp_path / "one.npz")
    assert (tmp_path / "many.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()


@pytest.mark.slow
def test_the_passes_run_on_an_engine_of_processes():
    # Other chunks, whose statistics are merged all the same.
    poses = random_poses(200)
    options = {"components": 1, "basis": 8, "solver": "closed-form"}
    expected = prior.fit(poses, **options)

    def on_an_engine(function, rows, *arrays):
        slices = [slice(i, min(i + 64, len(rows))) for i in range(0, len(rows), 64)]
        parts = [[rows[where] for where in slices]] + [[a[w] for w in slices] for a in arrays]
        return get_reusable_executor(2).map(function, *parts)

    fitted = prior.fit(poses, passes=on_an_engine, **options)
    np.testing.assert_allclose(fitted.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(fitted.std, expected.std, rtol=1e-5)
