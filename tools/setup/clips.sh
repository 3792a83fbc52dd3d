#!/usr/bin/env bash
# clips.sh: puts the motion-captured clips that come with pybullet into the virtual
# environment, as the package pybullet_data.
set -euo pipefail
here=$(dirname "$0")
python=${PYTHON:-build/venv/bin/python}
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
partial=build/clips.partial

# Only some Pythons have a wheel of pybullet, the others would compile it for
# minutes. We want two megabytes of text from it, so any Python's wheel will do.
echo "set-up: fetching motion capture (100 MB, of which 2 are kept)"
rm -rf $partial
"$here/fetch.sh" "$here/clips.txt" $partial --only-binary :all: \
  --implementation cp --python-version 3.11 --platform manylinux2014_x86_64
"$python" - $partial/*.whl $partial <<'PYTHON'
import re, sys, zipfile

archive, folder = sys.argv[1:]
wanted = r"pybullet_data/(__init__\.py|humanoid/humanoid\.urdf|data/motions/.*\.txt)"
with zipfile.ZipFile(archive) as wheel:
    wheel.extractall(folder, filter(re.compile(wanted).fullmatch, wheel.namelist()))
PYTHON
rm -rf "$packages/pybullet_data"
mv $partial/pybullet_data "$packages"
rm -r $partial
