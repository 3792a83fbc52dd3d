#!/usr/bin/env bash
# toolkit.sh: prints the path of the nvcc to compile with, and says on stderr which toolkit it is
# of: the first of CUDA_HOME's, the one on the PATH, /usr/local/cuda's. Where there is none, the
# wheels of cuda.txt are unpacked into build/cuda (650 MB to fetch, 1.1 GB unpacked).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fetched=$PWD/build/cuda
usual=${CUDA_USUAL:-/usr/local/cuda}

die() {
  echo "caffe: $*" >&2
  exit 1
}

version() { # NVCC
  "$1" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\),.*/\1/p'
}

# Where the toolkit lacks what Caffe needs, the reason in one line; nothing where it is whole.
lack() { # NVCC
  local work
  [ -x "$1" ] || {
    echo "no nvcc at $1"
    return
  }
  [ -n "$(version "$1")" ] || {
    echo "$1 does not run, or is no nvcc"
    return
  }
  work=$(mktemp -d)
  cat >"$work/try.cu" <<'CODE'
#include <cublas_v2.h>
#include <curand.h>
#include <thrust/version.h>
int main() {
  cublasHandle_t handle;
  curandGenerator_t generator;
  return cublasCreate(&handle) || curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_DEFAULT);
}
CODE
  "$1" -w -o "$work/try" "$work/try.cu" -lcublas -lcurand >"$work/log" 2>&1 ||
    echo "it compiles nothing with cuBLAS, cuRAND and Thrust: $(grep -m1 -i error "$work/log" || tail -n1 "$work/log")"
  rm -r "$work"
}

use() { # NVCC, where it is from
  echo "caffe: CUDA $(version "$1"), $2" >&2
  echo "$1"
  exit 0
}

if [ -n "${CUDA_HOME:-}" ]; then
  reason=$(lack "$CUDA_HOME/bin/nvcc")
  [ -z "$reason" ] || die "CUDA_HOME=$CUDA_HOME: expected a whole CUDA toolkit: $reason;" \
    "name another, or leave CUDA_HOME unset to have one fetched"
  use "$CUDA_HOME/bin/nvcc" "of CUDA_HOME"
fi
for nvcc in "$(command -v nvcc || true)" "$usual/bin/nvcc"; do
  [ -x "$nvcc" ] || continue
  reason=$(lack "$nvcc")
  [ -n "$reason" ] || use "$nvcc" "of $nvcc"
  echo "caffe: passed over $nvcc: $reason" >&2
done
[ -z "$(lack "$fetched/bin/nvcc")" ] && use "$fetched/bin/nvcc" "fetched before, in build/cuda"

"$here/wheels.sh" CUDA "$fetched" 650 2000
reason=$(lack "$fetched/bin/nvcc")
[ -z "$reason" ] || die "the toolkit in build/cuda: $reason"
use "$fetched/bin/nvcc" "fetched into build/cuda"
