#!/usr/bin/env bash
# build.sh cpu|gpu|gpu-cudnn FOLDER: fetches Caffe, applies the patches of this folder and compiles
# it into FOLDER: for the CPU a few minutes' work, for GPUs, without or with cuDNN, five times as
# much. It works in FOLDER.partial and, interrupted, goes on from there the next time.
set -euo pipefail
here=$(dirname "$0")
python=${PYTHON:-build/venv/bin/python}
kind=$1 folder=$2
partial=$folder.partial
source=$partial/source
unset MAKEFLAGS MFLAGS MAKELEVEL # CMake runs a make of its own

# For objects, precompiled header and result, beside sources of 36 MB: our estimate.
tools/setup/room.sh "caffe: compiling" "$folder" 500

gpu=(-DGPU=OFF)
if [ "$kind" != cpu ]; then
  # Before any minute is spent on fetching and compiling.
  nvcc=$("$here/toolkit.sh")
  architecture=$("$here/architecture.sh" "$nvcc")
  cudnn=
  [ "$kind" = gpu ] || cudnn=$("$here/cudnn.sh" "$nvcc")
  echo "caffe: compiling for compute capability ${architecture//;/, }"
  gpu=(-DGPU=ON -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES="$architecture"
    -DCUDNN_ROOT="$cudnn")
fi

fresh=yes
for file in "$here"/source.txt "$here"/CMakeLists.txt "$here"/*.patch; do
  [ $source -nt "$file" ] || fresh=no
done
if [ $fresh = no ]; then
  echo "caffe: fetching the sources"
  rm -rf $partial
  tools/setup/fetch.sh "$here/source.txt" $partial --no-binary :all:
  mkdir $partial/unpacked
  tar -xzf $partial/*.tar.gz -C $partial/unpacked --strip-components=1
  for change in "$here"/*.patch; do
    patch --directory=$partial/unpacked --strip=1 --fuzz=0 --forward <"$change" || {
      echo "caffe: $change does not apply to the sources that source.txt names" >&2
      exit 1
    }
  done
  mv $partial/unpacked $source
fi

echo "caffe: compiling"
cmake -S "$here" -B $partial -DCAFFE_SOURCE="$PWD/$source" -DPython3_EXECUTABLE="$PWD/$python" \
  -DCPU_ARCH="${CPU_ARCH:-native}" "${gpu[@]}" &&
  cmake --build $partial --parallel "${JOBS:-$(nproc)}" &&
  cmake --install $partial --prefix $partial/tree || {
  echo "caffe: could not be compiled, see above; rm -r $partial starts afresh" >&2
  exit 1
}
rm -rf "$folder"
mv $partial/tree "$folder"
rm -r $partial
echo "caffe: $folder is ready"
