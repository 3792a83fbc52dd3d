"""Caffe's own Python tests pass on the Caffe in use, but for one whose reason is known."""

import re
import subprocess
import sys

import pytest

from tools.caffe_io import process as caffe_process

TESTS = caffe_process.caffe_root() / "python/caffe/test"

# In a process of its own: the tests change Caffe's mode and seed. They still say
# assertEquals and assertRaisesRegexp, which Python 3.12 no longer has.
RUN = """
import sys, unittest
unittest.TestCase.assertEquals = unittest.TestCase.assertEqual
unittest.TestCase.assertRaisesRegexp = unittest.TestCase.assertRaisesRegex
unittest.main(None, argv=["unittest", "discover", "-s", sys.argv[1]])
"""

# Solver.apply_update is tested, but the released sources do not bind it in _caffe.cpp and keep
# SGDSolver::ApplyUpdate protected. Nothing here uses it.
KNOWN = "test_apply_update"
KNOWN_REASON = "AttributeError: 'SGDSolver' object has no attribute 'apply_update'"


@pytest.fixture(scope="module")
def report():
    """What unittest prints about Caffe's own tests."""
    if not TESTS.is_dir():
        pytest.skip(f"{TESTS}: this Caffe came without its Python tests")
    done = subprocess.run(
        [sys.executable, "-c", RUN, TESTS],
        env=caffe_process.environment(),
        capture_output=True,
        text=True,
    )
    return done.stderr


def test_only_the_known_one_fails(report):
    assert re.findall(r"^(?:ERROR|FAIL): (\w+)", report, re.M) == [KNOWN], report
    assert KNOWN_REASON in report


def test_none_is_lost(report):
    assert int(re.search(r"^Ran (\d+) tests", report, re.M)[1]) >= 50, report
