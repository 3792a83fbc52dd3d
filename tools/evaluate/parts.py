"""A long evaluation in parts: files that stay when it stops, and that several machines can share.

FOLDER/parts/ has run.json, what is run on what, and a file of predictions for each PEOPLE people.
What is there is not made again, as long as run.json is the same. Shard i of n is every n-th part:
machines that see one folder, or whose parts are copied into one, share the work.
"""

import argparse
import hashlib
import json
import re
import shutil
from typing import NamedTuple

import numpy as np

from prior import npz
from prior.errors import InputError
from prior.files import write
from prior.foreign import read_json
from tools.evaluate.predictions import Predictions

# Of one part: our choice, minutes of a CPU's work on the paper's network at one scale.
PEOPLE = 64
# Of Predictions: the axis of the people.
ARRAYS = {"points": 1, "beliefs": 1, "poses": 1, "peaks": 0, "covariance": 1}


class Shard(NamedTuple):
    """Shard `number`, from 1 on, of `count`."""

    number: int
    count: int


def shard(text):
    """The Shard of "2/4"."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected one of n shards, such as 2/4, got {text}")
    return Shard(int(match[1]), int(match[2]))


def digest(path):
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Parts:
    """The parts of an evaluation of `people` people, in a folder.

    facts: what is run, on what, as JSON has it. Parts of another run that the folder holds are
    removed, and `removed` says how many. Raises OSError.
    """

    def __init__(self, folder, facts, people):
        self.folder, self.people, self.removed = folder, people, 0
        facts = json.loads(json.dumps(facts | {"people": people, "part": PEOPLE}))
        marker = folder / "run.json"
        if not (marker.is_file() and read_json(marker) == facts):
            self.removed = len(list(folder.glob("*.npz")))
            shutil.rmtree(folder, ignore_errors=True)
            write(marker, json.dumps(facts, indent=1) + "\n")
        self.count = -(-people // PEOPLE)

    def rows(self, part):
        """The people of a part: a range."""
        return range(part * PEOPLE, min((part + 1) * PEOPLE, self.people))

    def missing(self, of=None):
        """The parts that are not there; of: those of a Shard alone."""
        return [
            part
            for part in range(self.count)
            if not self._path(part).is_file() and (of is None or part % of.count == of.number - 1)
        ]

    def save(self, part, predictions):
        """Write a part's Predictions, whole or not at all."""
        arrays = {name: getattr(predictions, name) for name in ARRAYS}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        npz.write(self._path(part), **arrays)

    def merged(self, fusion):
        """The Predictions of all people, from the parts; fusion: as in Predictions.

        Raises InputError where a part is damaged.
        """
        arrays = [self._read(part) for part in range(self.count)]
        joined = {
            name: np.concatenate([a[name] for a in arrays], ARRAYS[name]) for name in arrays[0]
        }
        return Predictions(**joined, fusion=fusion)

    def remove(self):
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _path(self, part):
        return self.folder / f"{part:06}.npz"

    def _read(self, part):
        path = self._path(part)
        arrays = npz.read(path, set(ARRAYS) - {"poses"}, ("poses",))
        wrong = [n for n, a in arrays.items() if a.shape[ARRAYS[n]] != len(self.rows(part))]
        if wrong:
            raise InputError(f"{path}: {wrong[0]}: of another number of people; remove the file")
        return arrays
