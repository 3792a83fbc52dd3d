"""The 3D pose model and its file.

The file is an .npz without pickle, the same bytes for the same model:

    mean (K, L, 3), basis (K, J, L, 3) orthonormal, std (K, J) descending, noise_std (K,), all in
    units of limb scale; weight (K,); scale_mm, the typical limb scale; landmarks (L,) names,
    parents (L,), mirror (L,); seeds (S, L, 3) of the mixture and sample (M, L, 3) of the aligned
    training poses, for pictures; meta, a JSON string: how the model was fitted, and to what, and,
    of a skeleton other than skeleton.HUMAN36M, the skeleton (skeleton_file.to_json).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float

from prior import foreign, npz, skeleton_file
from prior.document import Document
from prior.errors import InputError, short
from prior.files import FilePath
from prior.normalise import to_rows
from prior.ppca import PPCA
from prior.skeleton import HUMAN36M, Skeleton

FORMAT = 1

# The model that comes with the project, learned from CMU's motion capture: models/README.md.
READY = Path(__file__).parent / "models" / "cmu_all.npz"
# Made the same way without the carried motion's test subjects: what is measured on them is its.
TRAINING = READY.with_name("cmu_training.npz")

# The shapes of the file's arrays. K, J, S (seeds) and M (sample) are the same wherever they occur.
_SHAPES: dict[str, tuple[int | str, ...]] = {
    "landmarks": ("L",),
    "mean": ("K", "L", 3),
    "basis": ("K", "J", "L", 3),
    "std": ("K", "J"),
    "noise_std": ("K",),
    "weight": ("K",),
    "scale_mm": (),
    "parents": ("L",),
    "mirror": ("L",),
    "seeds": ("S", "L", 3),
    "sample": ("M", "L", 3),
    "meta": (),
}


class ModelFileError(InputError):
    """A model file that cannot be used; the message begins with its name."""


@dataclass(frozen=True, eq=False)
class PriorModel:
    """A mixture of K PPCAs with J basis vectors over poses of L landmarks.

    Poses are centred on the mean landmark, have any yaw, and are in units of limb scale. The
    module's docstring says what the arrays are.
    """

    mean: Float[np.ndarray, "K L 3"]
    basis: Float[np.ndarray, "K J L 3"]
    std: Float[np.ndarray, "K J"]
    noise_std: Float[np.ndarray, "K"]
    weight: Float[np.ndarray, "K"]
    scale_mm: float
    seeds: Float[np.ndarray, "S L 3"]
    sample: Float[np.ndarray, "M L 3"]
    meta: dict[str, Any] = field(default_factory=dict)
    skeleton: Skeleton = HUMAN36M

    @property
    def components(self) -> int:
        """K."""
        return self.basis.shape[0]

    @property
    def basis_size(self) -> int:
        """J."""
        return self.basis.shape[1]

    @property
    def parts(self) -> list[PPCA]:
        """The components as PPCAs over rows (normalise.to_rows)."""
        parts = zip(to_rows(self.mean), to_rows(self.basis), self.std, self.noise_std, strict=True)
        return [PPCA(mean, basis, std**2, noise**2) for mean, basis, std, noise in parts]

    def check(self, path: FilePath) -> dict[str, np.ndarray]:
        """The arrays of the model's file. Raises ModelFileError, which begins with `path`, if they
        are not those of a model."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _SHAPES if hasattr(self, name)}
        meta = {"format": FORMAT} | self.meta
        if self.skeleton != HUMAN36M:
            meta["skeleton"] = skeleton_file.to_json(self.skeleton)
        arrays |= {
            "scale_mm": np.array(self.scale_mm, dtype=float),
            "landmarks": np.array(self.skeleton.landmarks),
            "parents": np.array(self.skeleton.parents),
            "mirror": self.skeleton.mirror,
            "meta": np.array(json.dumps(meta, sort_keys=True)),
        }
        _check(arrays, path)
        return arrays

    def save(self, path: FilePath) -> None:
        """Write the file: all of it, or nothing.

        Raises OSError, and ModelFileError if the model could not be loaded again.
        """
        arrays = self.check(path)
        npz.write(path, compressed=True, **arrays)


def load(path: FilePath = READY, skeleton: Skeleton | None = None) -> PriorModel:
    """The PriorModel in a file, by default the one that comes with the project.

    skeleton: what it has to be of, where another one would not do. Raises ModelFileError.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(
            f"{path}: no such file; expected a pose model, as `python -m prior fit` writes"
        )
    arrays = npz.read(path, _SHAPES, error=ModelFileError, exact=True)
    of = _check(arrays, path)
    if skeleton not in (None, of):
        raise ModelFileError(
            f"{path}: expected a model of the landmarks {', '.join(skeleton.landmarks[:3])}, ... "
            f"({len(skeleton)}), got one of {', '.join(of.landmarks[:3])}, ... ({len(of)})"
        )
    meta = json.loads(str(arrays.pop("meta")))
    meta.pop("skeleton", None)
    for name in ("landmarks", "parents", "mirror"):
        del arrays[name]
    # Whole numbers and other floats are as good; a model of these two has the same bytes again.
    values: dict[str, Any] = {
        name: array if array.dtype in ("<f4", "<f8") else array.astype(float)
        for name, array in arrays.items()
    }
    values["scale_mm"] = float(arrays["scale_mm"])
    return PriorModel(**values, meta=meta, skeleton=of)


def _check(arrays: dict[str, np.ndarray], path: FilePath) -> Skeleton:
    """The model's skeleton. Raises ModelFileError unless the arrays are those of a model."""

    def fail(name: str, expected: str, got: object) -> NoReturn:
        raise ModelFileError(f"{path}: {name}: expected {expected}, got {short(got)}")

    sizes: dict[str, int] = {}
    for name, shape in _SHAPES.items():
        got = arrays[name].shape
        expected = tuple(
            sizes.setdefault(s, n) if isinstance(s, str) else s
            for s, n in zip(shape, got, strict=False)
        )
        if len(got) != len(shape) or got != expected:
            fail(name, f"shape {shape} with {sizes}", got)
        text = name in ("landmarks", "meta")
        if arrays[name].dtype.kind not in ("U" if text else "fiu"):
            fail(name, "text" if text else "numbers", arrays[name].dtype)
        if not text and not np.isfinite(arrays[name]).all():
            fail(name, "finite numbers", "NaN or infinity")
    if not sizes["K"] or not sizes["J"]:
        fail("basis", "at least one component and one basis vector", arrays["basis"].shape)
    if sizes["J"] > arrays["mean"][0].size:
        fail("basis", f"at most {arrays['mean'][0].size} vectors", sizes["J"])
    flat = arrays["basis"].reshape(sizes["K"], sizes["J"], -1)
    error = np.abs(flat @ flat.swapaxes(1, 2) - np.eye(sizes["J"])).max()
    if error > 1e-6:
        fail("basis", "orthonormal vectors", f"an error of {error:.2g}")
    if not (arrays["std"] > 0).all() or (np.diff(arrays["std"], axis=1) > 0).any():
        fail("std", "positive values, descending", arrays["std"].tolist())
    for name in ("noise_std", "scale_mm"):
        if not (arrays[name] > 0).all():
            fail(name, "positive values", arrays[name].tolist())
    if not (arrays["weight"] > 0).all() or abs(arrays["weight"].sum() - 1) > 1e-6:
        fail("weight", "positive values that sum to 1", arrays["weight"].tolist())
    meta = foreign.parse_json(str(arrays["meta"]), f"{path}: meta", ModelFileError)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        version = meta.get("format") if isinstance(meta, dict) else meta
        fail("meta", f"format {FORMAT}", f"{version!r}; fit the model again")
    skeleton = HUMAN36M
    if "skeleton" in meta:
        document = Document(meta["skeleton"], path, ModelFileError, "skeleton")
        skeleton = skeleton_file.from_document(document)
    for name in ("landmarks", "parents", "mirror"):
        expected_list = np.array(getattr(skeleton, name))
        if not np.array_equal(arrays[name], expected_list):
            fail(name, f"{expected_list.tolist()}", f"{arrays[name].tolist()}")
    return skeleton
