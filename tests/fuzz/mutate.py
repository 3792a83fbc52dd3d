"""Good files made bad: bytes, words of text, values of JSON and arrays of .npz, by a seed."""

import io
import json
import re
import zipfile

import numpy as np

LARGEST = 4 << 20  # bytes of a bad file
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
EXTREMES = [
    b"0", b"-1", b"-2", b"1", b"2147483648", b"1000000000", b"-9223372036854775809", b"1e308",
    b"1e-308", b"1e30", b"1e999", b"NaN", b"Infinity", b"9" * 400, b"9" * 5000, b"", b"x", b"'",
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 1, 2, 17, 1.5, 1e308, 1e30, 1e-300, 10**9, 2**63, 10**400,
    float("nan"), float("inf"), "", "x", "=1+1", "x" * 100_000, "\x00\x1b[2J\u202e", "<img>",
    "$\\frac{", "../../x", [], {}, [[]], [None], [0] * 1000, {"": None}, [1, "a"], [[1, 2], [3]],
]  # fmt: skip


def mutate(good: bytes, rng: np.random.Generator) -> bytes:
    """One to three random changes of a file, of kinds that its content allows."""
    result = good
    for _ in range(rng.integers(1, 4)):
        kinds = [in_bytes]
        if result[:2] == b"PK":
            kinds += [in_npz] * 3
        elif b"\0" not in result[:200]:
            kinds += [in_words] * 2
            kinds += [in_json] * 3 if result.lstrip()[:1] in (b"{", b"[") else []
        changed = kinds[rng.integers(len(kinds))](result, rng)
        result = result if changed is None else changed[:LARGEST]
    return result


def in_bytes(good, rng):
    """Bytes changed, cut, doubled, moved or put in between."""
    if not good:
        return b"\0"
    at, length = int(rng.integers(len(good))), int(rng.geometric(0.01))
    kind = rng.integers(8)
    if kind == 0:
        return good[:at]
    if kind == 1:
        return good[:at] + good[at + length :]
    if kind == 2:
        return good[:at] + good[at : at + length] * int(rng.integers(2, 200)) + good[at + length :]
    if kind == 3:
        return good[:at] + rng.integers(0, 256, length, dtype=np.uint8).tobytes() + good[at:]
    changed = bytearray(good)
    # The heads of files decide most.
    limit = len(good) if kind < 6 else min(len(good), 512)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(limit))
        changed[place] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    return bytes(changed)


def in_words(good, rng):
    """A number made extreme, or a line or word left out, doubled, very long or nested."""
    kind = rng.integers(6)
    if kind < 3:
        places = [match.span() for match in NUMBER.finditer(good[:200_000])]
        if not places:
            return None
        start, end = places[rng.integers(len(places) if kind else min(len(places), 20))]
        return good[:start] + EXTREMES[rng.integers(len(EXTREMES))] + good[end:]
    separator = b"\n" if kind < 5 else b" "
    parts = good.split(separator)
    at = int(rng.integers(len(parts)))
    change = [
        [],
        [parts[at]] * int(rng.integers(2, 50)),
        [parts[at] * min(1000, 1 + LARGEST // (1 + len(parts[at])))],
        [b"A" * 400_000],
        [b"[" * 50_000],
        [b"<a>" * 50_000],
        [parts[int(rng.integers(len(parts)))]],
    ][rng.integers(7)]
    return separator.join([*parts[:at], *change, *parts[at + 1 :]])


def in_json(good, rng):
    """A value of JSON replaced by another of any type, left out, doubled or renamed."""
    try:
        document = json.loads(good)
    except (ValueError, RecursionError):
        return None
    holder = {"top": document}
    inner, key = holder, "top"
    while rng.random() < 0.85:
        value = inner[key]
        if isinstance(value, dict) and value:
            inner, key = value, list(value)[rng.integers(len(value))]
        elif isinstance(value, list) and value:
            inner, key = value, int(rng.integers(len(value)))
        else:
            break
    kind = rng.integers(6)
    if kind == 0 and inner is not holder:
        del inner[key]
    elif kind == 1:
        inner[key] = [inner[key]] * int(rng.integers(0, 4))
    elif kind == 2 and isinstance(inner, dict) and inner is not holder:
        inner[str(key)[:-1]] = inner.pop(key)
    else:
        inner[key] = VALUES[rng.integers(len(VALUES))]
    try:
        return json.dumps(holder["top"]).encode()
    except (ValueError, RecursionError):
        return None


def in_npz(good, rng):
    """An array of an .npz with other shape, type, values or name; bombs; other members."""
    try:
        with zipfile.ZipFile(io.BytesIO(good)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged before
        return None
    if not members:
        return None
    name = list(members)[rng.integers(len(members))]
    kind = rng.integers(7)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name] = in_bytes(members[name], rng)
    elif kind == 2:
        members[name.removesuffix(".npy")] = b"x"
    elif kind == 3:
        members[name[:-5] + "x.npy"] = members[name]
    elif kind == 4:
        members[name] = in_words(members[name][:128], rng) or b""
        members[name] += bytes(int(rng.integers(1000)))
    else:
        members[name] = _npy(_other_array(members[name], rng))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return buffer.getvalue()


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _other_array(content, rng):
    """An array that is like the one in an .npy, but not quite."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception:  # pickled, or damaged before
        array = np.zeros(3)
    kind = rng.integers(9)
    if kind == 0 and array.size and array.dtype.kind in "iuf":
        array = array.copy()
        value = rng.choice([np.nan, np.inf, -1, 0, 1e30, 1e9])
        with np.errstate(invalid="ignore"):
            array.flat[rng.integers(array.size)] = np.array(value).astype(array.dtype)
        return array
    return [
        array[..., None],
        array[:0] if array.ndim else np.zeros(0),
        array.astype("U8"),
        np.zeros((1, *array.shape)),
        np.array("x" * 1000),
        np.zeros(2_000_000),
        np.zeros((3, 100_000), bool),
        np.concatenate([array.ravel()] * 2),
        np.array(10**9),
    ][kind]
