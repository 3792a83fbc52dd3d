#!/usr/bin/env bash
# cudnn.sh NVCC: prints the folder of the cuDNN to compile with, which has include/cudnn.h and
# lib/libcudnn.so, and says on stderr which it is: CUDNN_HOME, or the wheel of cudnn.txt, which is
# unpacked into build/cudnn (520 MB to fetch, 940 MB unpacked).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
nvcc=$1
fetched=$PWD/build/cudnn

die() {
  echo "caffe: $*" >&2
  exit 1
}

whole() { # FOLDER
  [ -e "$1/include/cudnn.h" ] && { [ -e "$1/lib/libcudnn.so" ] || [ -e "$1/lib64/libcudnn.so" ]; }
}

use() { # FOLDER, where it is from
  echo "caffe: cuDNN, $2" >&2
  echo "$1"
  exit 0
}

if [ -n "${CUDNN_HOME:-}" ]; then
  whole "$CUDNN_HOME" ||
    die "CUDNN_HOME=$CUDNN_HOME: expected include/cudnn.h and lib/libcudnn.so there;" \
      "name another, or leave CUDNN_HOME unset to have one fetched"
  use "$CUDNN_HOME" "of CUDNN_HOME"
fi
toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p')
[ "$toolkit" = 13 ] ||
  die "the cuDNN that is fetched is for CUDA 13, and nvcc is of CUDA $toolkit:" \
    "name a cuDNN of your own: CUDNN_HOME=/path/to/cudnn"
whole "$fetched" && use "$fetched" "fetched before, in build/cudnn"

"$here/wheels.sh" cuDNN "$fetched" 520 1500
use "$fetched" "fetched into build/cudnn"
