"""A network of ours that was exported to ONNX: runs where there is no Caffe, as estimator.Network.

A folder with the graphs, part1.onnx and so on, and network.json, which says in which order they are
run, and what is lifted in between: that is done here, by the same functions as in Caffe's layers.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import prior
from prior.errors import InputError
from prior.lifting.lifter import ROTATIONS
from prototxt.named import check_same, skeleton_of
from python_layers import belief_maps
from tools.infer.device import BATCH
from tools.infer.pool import batched
from tools.infer.staged import Staged

DOCUMENT = "network.json"
FORMAT = 1


def is_exported(path: Path) -> bool:
    """Whether a path is a folder of an exported network."""
    return (path / DOCUMENT).is_file()


class OnnxNetwork(Staged):
    """An exported network. model: the PriorModel that it lifts with; None: that it was trained
    with, by its path. Raises InputError on another folder."""

    def __init__(self, folder: Path, model: prior.PriorModel | None = None) -> None:
        document = _read(folder / DOCUMENT)
        self.size, self.stride, self.batch = document["input"], document["stride"], BATCH
        self.sigma, self.fusion, self.steps = (document[n] for n in ("sigma", "fusion", "steps"))
        skeleton = skeleton_of(document.get("name", ""), folder / DOCUMENT)
        super().__init__([name for step in self.steps for name in step["gives"]], skeleton)
        self.lifting = next((s["parameters"] for s in self.steps if s["kind"] == "lift"), {})
        self._sessions = {
            step["file"]: _session(folder / step["file"])
            for step in self.steps
            if step["kind"] == "run"
        }
        if self.lifts:
            options = {"rotations": self.lifting.get("rotations", ROTATIONS)}
            for name in ("noise_mm", "criterion"):
                if self.lifting.get(name) is not None:
                    options[name] = self.lifting[name]
            model = model or prior.load(self.lifting["model"])
            check_same(skeleton, model.skeleton, folder, self.lifting["model"])
            self.lifter = prior.Lifter(model, **options)

    def run(self, inputs, names):
        """{name: array of that blob} of inputs [(data, center_map, camera)], in batches."""
        outputs = {name: [] for name in names}
        for chunk in batched(inputs, BATCH):
            blobs = {
                name: np.stack([np.asarray(values[i], np.float32) for values in chunk])
                for i, name in enumerate(("data", "center_map", "camera"))
            }
            blobs["center_map"] = blobs["center_map"].reshape(len(chunk), 1, self.size, self.size)
            for step in self.steps:
                blobs |= self._after(step, blobs)
            for name, arrays in outputs.items():
                arrays.append(blobs[name])
        return {name: np.concatenate(arrays) for name, arrays in outputs.items()}

    def _after(self, step: dict[str, Any], blobs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The blobs that a step gives."""
        takes = [blobs[name] for name in step["takes"]]
        if step["kind"] == "run":
            inputs = dict(zip(step["takes"], takes, strict=True))
            made = self._sessions[step["file"]].run(step["gives"], inputs)
        elif step["kind"] == "lift":
            made = self._lift(step["parameters"], *takes)
        else:
            points, maps = takes
            made = [belief_maps.render(points, *maps.shape[2:], step["parameters"]["sigma"])]
        return dict(zip(step["gives"], made, strict=False))

    def _lift(self, parameters, maps, camera=None):
        """What LiftingLayer.forward gives: landmarks, map px, and pose, mm."""
        subpixel = parameters.get("subpixel", False)
        points, peak = belief_maps.argmax(maps, subpixel, len(self.skeleton))
        if not np.isfinite(peak).all():
            raise InputError("maps: expected finite numbers, got nan or inf; train it again")
        covariance = None
        if parameters.get("covariance"):
            covariance = belief_maps.covariance(maps, points, parameters["sigma"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of maps whose maxima are all in one place
            camera = None if camera is None else camera.astype(float)
            lifted = self.lifter.lift(points, camera=camera, covariance=covariance)
        return [lifted.projection.astype(np.float32), lifted.pose.astype(np.float32)]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise InputError(f"{path}: expected format {FORMAT}, got {document['format']}")
        return document
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: expected what tools.infer.export writes, got {error}; export it again"
        ) from None


def _session(path: Path) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for each kind
        message = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be loaded: {message}; export it again") from None
