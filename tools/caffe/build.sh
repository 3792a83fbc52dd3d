#!/usr/bin/env bash
# build.sh: fetches Caffe, applies the patches of this folder and compiles it into
# build/caffe, a few minutes' work. It works in build/caffe.partial and, interrupted,
# goes on from there the next time.
set -euo pipefail
here=$(dirname "$0")
python=${PYTHON:-build/venv/bin/python}
partial=build/caffe.partial
source=$partial/source
unset MAKEFLAGS MFLAGS MAKELEVEL # CMake runs a make of its own

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
cmake -S "$here" -B $partial -DCAFFE_SOURCE="$PWD/$source" -DPython3_EXECUTABLE="$PWD/$python" &&
  cmake --build $partial --parallel "${JOBS:-$(nproc)}" &&
  cmake --install $partial --prefix $partial/tree || {
  echo "caffe: could not be compiled, see above; rm -r $partial starts afresh" >&2
  exit 1
}
rm -rf build/caffe
mv $partial/tree build/caffe
rm -r $partial
echo "caffe: build/caffe is ready"
