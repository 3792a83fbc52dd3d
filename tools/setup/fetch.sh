#!/usr/bin/env bash
# fetch.sh PIN FOLDER [PIP OPTION...]: downloads the archives that the requirements file
# PIN names, their hashes checked, into FOLDER. Nothing in an archive is run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-build/venv/bin/python}
pin=$1 folder=$2
shift 2

# pip wants a source archive's metadata even where it only downloads, and would
# run the archive's setup.py for it. metadata/ stands in for setuptools here and
# hands pip the metadata that lies in the archive.
PYTHONPATH=$here/metadata "$python" -I -m pip download --quiet --dest "$folder" \
  --no-deps --require-hashes --use-pep517 --no-build-isolation --requirement "$pin" "$@" || {
  echo "set-up: pip could not download what $pin names; is the package index within reach?" >&2
  exit 1
}
