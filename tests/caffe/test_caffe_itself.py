"""Caffe's own Python tests pass on the Caffe in use, but for one where its method is missing."""

import re
import subprocess
import sys

import caffe
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

# The packaged Caffe has this test and not what it tests: its _caffe.cpp binds no apply_update, and
# its SGDSolver::ApplyUpdate is protected. BVLC's binds it. Nothing here uses it.
APPLY_UPDATE = "test_apply_update"


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


def test_only_a_missing_method_fails(report):
    failed = re.findall(r"^(?:ERROR|FAIL): (\w+)", report, re.M)
    if hasattr(caffe.SGDSolver, "apply_update"):
        assert failed == [], report
    else:
        assert failed == [APPLY_UPDATE], report
        assert "AttributeError: 'SGDSolver' object has no attribute 'apply_update'" in report


def test_none_is_lost(report):
    assert int(re.search(r"^Ran (\d+) tests", report, re.M)[1]) >= 50, report
