"""What `make` exports, so that a bare pytest finds pycaffe and its processes too; and the checks of
shapes in signatures."""

import os
import sys

from tests.shapes.sitecustomize import check_shapes

check_shapes()

from tools.caffe_io import process as caffe_process  # noqa: E402 - it imports prior

PYCAFFE = caffe_process.caffe_root() / "python"
HAVE_CAFFE = (PYCAFFE / "caffe/_caffe.so").exists()

sys.path.append(str(PYCAFFE))
os.chdir(caffe_process.ROOT)
os.environ["PYTHONPATH"] = caffe_process.environment()["PYTHONPATH"]
os.environ.setdefault("GLOG_minloglevel", "2")  # errors only; Caffe is talkative

collect_ignore = [] if HAVE_CAFFE else ["caffe"]
if "GPU" not in os.environ:
    collect_ignore.append("gpu")  # make test-gpu


def pytest_report_header():
    if not HAVE_CAFFE:
        return f"tests/caffe is left out: no pycaffe in {PYCAFFE}; make caffe compiles it"
