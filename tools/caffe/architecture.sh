#!/usr/bin/env bash
# architecture.sh NVCC: prints what to compile for, as CMake wants it ("86", or "75;86"): CUDA_ARCH,
# as 8.6 or 86, or what nvidia-smi says of the GPUs that are here. Refuses what NVCC does not
# compile for, and a driver that is older than NVCC's CUDA.
set -euo pipefail
nvcc=$1

die() {
  echo "caffe: $*" >&2
  exit 1
}

dotted() { # 86 -> 8.6, 120 -> 12.0
  echo "${1%?}.${1: -1}"
}

toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
wanted=${CUDA_ARCH:-}
if [ -z "$wanted" ]; then
  name="name the GPU's compute capability, which NVIDIA lists: CUDA_ARCH=8.6"
  command -v nvidia-smi >/dev/null || die "no nvidia-smi here to ask what GPU to compile for; $name"
  wanted=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>&1) ||
    die "nvidia-smi knows of no GPU (${wanted##*$'\n'}); $name"
  # The highest CUDA that the driver runs.
  driver=$(nvidia-smi | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p')
  if [ -n "$driver" ] && [ "${driver%%.*}" -lt "${toolkit%%.*}" ]; then
    die "the GPU's driver runs CUDA $driver at most, and nvcc is of $toolkit:" \
      "update the driver, or name a CUDA ${driver%%.*} of your own: CUDA_HOME=/path/to/cuda"
  fi
fi

mapfile -t known < <("$nvcc" --list-gpu-arch | sed -n 's/^compute_\([0-9]*\)$/\1/p' | sort -n)
chosen=
for one in $(tr ',;' '  ' <<<"$wanted"); do
  number=${one#sm_}
  number=${number//./}
  [[ $number =~ ^[1-9][0-9]{1,2}$ ]] ||
    die "CUDA_ARCH: expected a GPU's compute capability, such as 8.6, got $one"
  if [[ " ${known[*]} " != *" $number "* ]]; then
    if [ "$number" -lt "${known[0]}" ]; then
      die "a GPU of compute capability $(dotted "$number"): nvcc $toolkit compiles for" \
        "$(dotted "${known[0]}") and newer; name an older CUDA (12 has 5.0 to 7.2):" \
        "CUDA_HOME=/path/to/cuda"
    fi
    die "a GPU of compute capability $(dotted "$number"): nvcc $toolkit does not know it;" \
      "name a newer CUDA: CUDA_HOME=/path/to/cuda"
  fi
  [[ ";$chosen;" == *";$number;"* ]] || chosen=$chosen${chosen:+;}$number
done
echo "$chosen"
