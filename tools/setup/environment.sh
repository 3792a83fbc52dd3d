#!/usr/bin/env bash
# environment.sh: writes build/env.sh, which makes the caffe program, pycaffe, and the
# repository's layers and Python ready in a shell. CAFFE_ROOT names the Caffe.
set -euo pipefail

mkdir -p build
cat >build/env.sh.partial <<END
# source build/env.sh, in bash or zsh; made by make. Run things from $PWD.
export CAFFE_ROOT="$CAFFE_ROOT"
export PATH="$PWD/build/venv/bin:\$CAFFE_ROOT/build/tools:\$PATH"
# The caffe program runs an interpreter that knows nothing of the virtual environment.
export PYTHONPATH="$PWD:\$CAFFE_ROOT/python:$PWD/build/venv/site-packages\${PYTHONPATH:+:\$PYTHONPATH}"
# Where the solvers in prototxt/ put their snapshots; Caffe makes no folder.
mkdir -p "$PWD/build/snapshots"
END
mv build/env.sh.partial build/env.sh
