"""The 3D pose model and its file.

The file is an .npz without pickle, the same bytes for the same model:

    mean (K, L, 3), basis (K, J, L, 3) orthonormal, std (K, J) descending, noise_std (K,), all in
    units of limb scale; weight (K,); scale_mm, the typical limb scale; landmarks (L,) names,
    parents (L,), mirror (L,); seeds (S, L, 3) and sample (M, L, 3), the seeds and some of the
    aligned training poses, for pictures; meta, a JSON string: how and on what it was fitted.
"""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from prior.files import replacing
from prior.normalise import to_rows
from prior.ppca import PPCA
from prior.skeleton import LANDMARKS, MIRROR, PARENTS, L

FORMAT = 1

# Learned from CMU's motion capture: models/README.md.
READY = Path(__file__).parent / "models" / "cmu.npz"

# No array of a model is near this large; a file that announces more is not one.
LARGEST_BYTES = 64 * 2**20

# Shapes in terms of the file's K, J, S (seeds) and M (sample), found from `basis` and the rest.
_SHAPES = {
    "mean": ("K", L, 3),
    "basis": ("K", "J", L, 3),
    "std": ("K", "J"),
    "noise_std": ("K",),
    "weight": ("K",),
    "scale_mm": (),
    "landmarks": (L,),
    "parents": (L,),
    "mirror": (L,),
    "seeds": ("S", L, 3),
    "sample": ("M", L, 3),
    "meta": (),
}


class ModelFileError(ValueError):
    """A model file that cannot be used: its name, what was expected, what was found."""


@dataclass(frozen=True, eq=False)
class PriorModel:
    """A mixture of K PPCAs with J basis vectors over poses of L landmarks.

    Poses are centred on the mean landmark, face any way about the vertical, and are in units of
    limb scale; scale_mm is a typical limb scale. Arrays as in the module's docstring.
    """

    mean: np.ndarray
    basis: np.ndarray
    std: np.ndarray
    noise_std: np.ndarray
    weight: np.ndarray
    scale_mm: float
    seeds: np.ndarray
    sample: np.ndarray
    meta: dict = field(default_factory=dict)

    @property
    def components(self):
        """K."""
        return self.basis.shape[0]

    @property
    def basis_size(self):
        """J."""
        return self.basis.shape[1]

    @property
    def parts(self):
        """The components as a list of ppca.PPCA over rows (normalise.to_rows)."""
        parts = zip(to_rows(self.mean), to_rows(self.basis), self.std, self.noise_std, strict=True)
        return [PPCA(mean, basis, std**2, noise**2) for mean, basis, std, noise in parts]

    def check(self, path):
        """The arrays of the file; ModelFileError, which begins with path, if they are no model."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _SHAPES if hasattr(self, name)}
        arrays |= {
            "scale_mm": np.float64(self.scale_mm),
            "landmarks": np.array(LANDMARKS),
            "parents": PARENTS,
            "mirror": MIRROR,
            "meta": np.array(json.dumps({"format": FORMAT} | self.meta, sort_keys=True)),
        }
        _check(arrays, path)
        return arrays

    def save(self, path):
        """Write the file: all of it, or nothing. Raises OSError, and ModelFileError if the model
        would not load again."""
        arrays = self.check(path)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def load(path=READY):
    """The PriorModel in a file, by default the one that comes with the project. Raises
    ModelFileError."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_headers(archive, path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _SHAPES}
    except FileNotFoundError:
        raise ModelFileError(
            f"{path}: no such file; expected a pose model, as `python -m prior fit` writes"
        ) from None
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path}: expected a pose model (.npz), found {error}") from None
    _check(arrays, path)
    meta = json.loads(str(arrays.pop("meta")))
    for name in ("landmarks", "parents", "mirror"):
        del arrays[name]
    return PriorModel(**arrays | {"scale_mm": float(arrays["scale_mm"])}, meta=meta)


def _check_headers(archive, path):
    """Names and sizes, before anything is allocated."""
    found = {name.removesuffix(".npy") for name in archive.namelist()}
    if found != set(_SHAPES):
        missing, extra = sorted(set(_SHAPES) - found), sorted(found - set(_SHAPES))
        raise ModelFileError(f"{path}: not a pose model: missing {missing}, unknown {extra}")
    for name in _SHAPES:
        with archive.open(f"{name}.npy") as member:
            version = npy.read_magic(member)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member)
        if dtype.hasobject or np.prod(shape, dtype=float) * dtype.itemsize > LARGEST_BYTES:
            raise ModelFileError(
                f"{path}: {name}: expected numbers or text below {LARGEST_BYTES >> 20} MB, "
                f"found {dtype} {shape}"
            )


def _check(arrays, path):
    def fail(name, expected, found):
        raise ModelFileError(f"{path}: {name}: expected {expected}, found {found}")

    sizes = {}
    for name, shape in _SHAPES.items():
        found = arrays[name].shape
        expected = tuple(
            sizes.setdefault(s, n) if isinstance(s, str) else s
            for s, n in zip(shape, found, strict=False)
        )
        if len(found) != len(shape) or found != expected:
            fail(name, f"shape {shape} with {sizes}", found)
        text = name in ("landmarks", "meta")
        if arrays[name].dtype.kind not in ("U" if text else "fiu"):
            fail(name, "text" if text else "numbers", arrays[name].dtype)
        if not text and not np.isfinite(arrays[name]).all():
            fail(name, "finite numbers", "NaN or infinity")
    for name, expected in (("landmarks", LANDMARKS), ("parents", PARENTS), ("mirror", MIRROR)):
        if not np.array_equal(arrays[name], expected):
            fail(name, f"{list(expected)}", f"{arrays[name].tolist()}")
    if not sizes["K"] or not sizes["J"]:
        fail("basis", "at least one component and one basis vector", arrays["basis"].shape)
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
    try:
        meta = json.loads(str(arrays["meta"]))
    except json.JSONDecodeError as error:
        fail("meta", "JSON", error)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        version = meta.get("format") if isinstance(meta, dict) else meta
        fail("meta", f"format {FORMAT}", f"{version!r}; fit the model again")
