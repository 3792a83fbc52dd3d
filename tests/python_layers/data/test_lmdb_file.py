"""Records of an LMDB beside LMDB's own, and files whose pages are damaged."""

import lmdb
import numpy as np
import pytest

from python_layers.data import lmdb_file


def write(folder, lengths, rounds=1):
    """An LMDB with values of these lengths, written so many times; returns its file."""
    rng = np.random.default_rng(0)
    with lmdb.open(str(folder), map_size=1 << 26) as environment:
        for _ in range(rounds):
            with environment.begin(write=True) as transaction:
                for i, length in enumerate(lengths):
                    transaction.put(b"%05d" % (i * 7919 % 10007), rng.bytes(length))
    return folder / "data.mdb"


def by_lmdb(folder):
    with lmdb.open(str(folder), readonly=True, lock=False) as environment:
        with environment.begin() as transaction:
            return list(transaction.cursor())


@pytest.mark.parametrize(
    ("lengths", "rounds"),
    [((), 1), ((3,), 1), ([20] * 5000, 1), ([0, 5000, 100_000, 17] * 20, 3), ([2000] * 300, 2)],
    ids=["none", "one", "several levels", "long and short, written again", "large, written again"],
)
def test_records_are_lmdbs(tmp_path, lengths, rounds):
    content = memoryview(write(tmp_path, lengths, rounds).read_bytes())
    entries = list(lmdb_file.entries(content))
    assert [(e.key, bytes(content[e.start : e.end])) for e in entries] == by_lmdb(tmp_path)


@pytest.mark.slow
def test_damage_within_the_pages_is_refused_or_lies_inside(tmp_path):
    good = np.frombuffer(write(tmp_path, [30, 9000] * 60, 2).read_bytes(), np.uint8)
    rng, refused = np.random.default_rng(1), 0
    for _ in range(1000):
        content = good.copy()
        # The first bytes of a page tell where others are.
        pages = rng.integers(len(good) // 4096, size=40)
        content[4096 * pages + rng.integers(130, size=40)] = rng.integers(256, size=40)
        try:
            entries = list(lmdb_file.entries(memoryview(content)))
        except lmdb_file.DamageError:
            refused += 1
            continue
        assert all(0 <= e.start <= e.end <= len(content) for e in entries)
    assert 200 < refused < 1000


def damaged(content, changes):
    content = bytearray(content)
    for start, value, count in changes:
        content[start : start + count] = value.to_bytes(count, "little")
    return memoryview(content)


def test_each_number_that_is_damaged_is_named(tmp_path):
    content = write(tmp_path, [30] * 3 + [9000]).read_bytes()
    meta = 4096  # of the first transaction
    root = 4096 * int.from_bytes(content[meta + lmdb_file.ROOT :][:8], "little")
    node = root + int.from_bytes(content[root + 16 :][:2], "little")
    for changes, said in (
        ([(lmdb_file.PAGE_SIZE, 3, 4)], "pages of 3 bytes"),
        ([(16, 1, 4)], "no head of version 1"),
        ([(meta + lmdb_file.ROOT, 10**6, 8)], "page 1000000 of .* cut off"),
        ([(meta + lmdb_file.ROOT, 1, 8)], "page 1 of"),
        ([(root, 77, 8)], "another page in place of"),
        ([(root + lmdb_file.FLAGS, 4, 2)], "of kind 4"),
        ([(root + lmdb_file.FLAGS, 0x22, 2)], "of kind 34"),
        ([(root + lmdb_file.LOWER, 17, 2)], "with a head of 17 bytes"),
        ([(root + lmdb_file.LOWER, 4098, 2)], "with a head of 4098 bytes"),
        # On this one LMDB itself ends the process.
        ([(root + 16, 60000, 2)], "an entry outside of it"),
        ([(root + 16, 4095, 2)], "an entry outside of it"),
        ([(root + 16, 0, 2)], "an entry outside of it"),
        ([(node + 6, 60000, 2)], "a key outside of it"),
        ([(node, 60000, 2)], "a value of 60000 bytes outside"),
        ([(node + 4, 2, 2)], "a database inside"),
        ([(node + 4, 1, 2)], "page .* of .*: it was cut off"),
        # A branch whose first entry is itself.
        (
            [
                (root + lmdb_file.FLAGS, lmdb_file.BRANCH, 2),
                (node, root // 4096, 2),
                (node + 2, 0, 2),
            ],
            f"page {root // 4096} twice",
        ),
    ):
        with pytest.raises(lmdb_file.DamageError, match=said):
            list(lmdb_file.entries(damaged(content, changes)))
