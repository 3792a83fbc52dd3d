#!/usr/bin/env bash
# check.sh CAFFE_ROOT: is there a Caffe, with a pycaffe for this Python?
set -euo pipefail
root=$1
python=${PYTHON:-build/venv/bin/python}

for file in build/tools/caffe python/caffe/_caffe.so; do
  if [ ! -e "$root/$file" ]; then
    echo "CAFFE_ROOT=$root: expected a Caffe with pycaffe, found no $file there;" \
      "build it (make all pycaffe), or leave CAFFE_ROOT unset to have one compiled" >&2
    exit 1
  fi
done
reason=$(PYTHONPATH=$root/python "$python" -c 'import caffe' 2>&1) || {
  echo "CAFFE_ROOT=$root: its pycaffe does not run in $python: ${reason##*$'\n'};" \
    "build it for that Python, or leave CAFFE_ROOT unset to have one compiled" >&2
  exit 1
}
