import pytest

from tools.bench import cluster


def test_the_cost_of_many_workers_is_what_they_do_not_share():
    """100 chunks of a second, each with 10 ms of merging and 10 ms of transfer."""
    chunk = {"received": 0.01 * cluster.NETWORK, "sent": 0.0}
    one_pass = {"chunks": 100, "waited": 50.0, "merged": 1.0, **chunk}
    alone = {"seconds": 5 + 50 + 1, "cores": 2, "passes": [one_pass]}
    assert cluster.predicted(alone, None, 1) == pytest.approx(5 + 100)
    assert cluster.predicted(alone, None, 10) == pytest.approx(5 + 10)
    assert cluster.predicted(alone, None, 1000) == pytest.approx(5 + 2)
    # One worker takes 20 s longer: 0.2 s a chunk that more workers do not shorten.
    one = {"passes": [one_pass | {"waited": 120.0}]}
    assert cluster.predicted(alone, one, 1000) == pytest.approx(5 + 22)
