#!/usr/bin/env bash
# wheels.sh CUDA|cuDNN FOLDER MB SPACE: fetches the wheels of cuda.txt or cudnn.txt, of MB
# megabytes, and unpacks them into FOLDER (unpack.py), whole or not at all. Refuses where less than
# SPACE megabytes are free: for the wheels and what is in them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-build/venv/bin/python}
name=$1 folder=$2 size=$3 space=$4
instead=${name^^}_HOME

die() {
  echo "caffe: $*" >&2
  exit 1
}

tools/setup/room.sh "caffe: $name" "$folder" "$space" "set $instead"
echo "caffe: fetching NVIDIA's wheels of $name ($size MB)" >&2
rm -rf "$folder.partial"
tools/setup/fetch.sh "$here/${name,,}.txt" "$folder.partial/wheels" --only-binary :all: ||
  die "no $name, and no network to fetch it: set $instead=/path/to/${name,,}"
"$python" "$here/unpack.py" "$folder.partial"
rm -rf "$folder"
mv "$folder.partial/unpacked" "$folder"
rm -r "$folder.partial"
