"""Where Human3.6M's files are: checks that all are there, and extracts its archives."""

import contextlib
import errno
import itertools
import os
import re
import tarfile
import xml.etree.ElementTree
from pathlib import Path

from tqdm import tqdm

from prior import foreign, limits
from prior.errors import InputError, short
from prior.files import replacing
from tools.evaluate import protocols

# Kind of file: its place in the folder of a subject.
PLACES = {
    "D2_Positions": "MyPoseFeatures/D2_Positions",
    "D3_Positions": "MyPoseFeatures/D3_Positions",
    "Videos": "Videos",
}
POSITIONS = ("D2_Positions", "D3_Positions")
ARCHIVES = (".tgz", ".tar.gz", ".tar")
SHOWN = 5  # missing files of each kind that are named; the rest are counted
# What begins a file that gzip packed; bzip2, xz.
GZIP, OTHERS = b"\x1f\x8b", (b"BZh", b"\xfd7zXZ")
# What a disk, or a quota, that is full says.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class MissingError(InputError):
    """Parts of the dataset are not there; `parts` has a line for each."""

    def __init__(self, folder, parts):
        super().__init__(f"{folder}: {len(parts)} parts of Human3.6M are missing, listed above")
        self.parts = parts


def read_metadata(path, error):
    """The root of metadata.xml. Raises `error`."""
    try:
        return xml.etree.ElementTree.fromstring(foreign.read_bytes(path, error))
    # LookupError, ValueError: of a declared encoding.
    except (xml.etree.ElementTree.ParseError, LookupError, ValueError) as wrong:
        if isinstance(wrong, InputError):
            raise
        said = short(str(wrong), 100)
        raise error(f"{path}: expected Human3.6M's metadata.xml, got {said}") from None


def recordings(metadata):
    """{subject: {sequence: (action, trial)}} of metadata.xml; {} where it does not say.

    Its <mapping> is a table. A row has the number of the action, that of the trial, and the name
    of each subject's file. Raises InputError.
    """
    rows = read_metadata(metadata, InputError).findall("mapping/tr")
    if not rows:
        return {}
    subjects = [cell.text for cell in rows[0]][2:]
    sequences = {subject: {} for subject in subjects}
    for row in rows[1:]:
        _, trial, *names = [cell.text or "" for cell in row]
        for subject, name in zip(subjects, names, strict=False):
            action, _ = protocols.action_of(name.strip() or "_")
            if action in protocols.ACTIONS and trial.isdigit():
                sequences[subject][name.strip()] = action, int(trial)
    return sequences


class _Member(tarfile.TarInfo):
    """What stands before a file in an archive, which is read as a whole: so it has to be short."""

    LONGEST = 1 << 20
    HEADS = (*tarfile.GNU_TYPES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        """As TarInfo's. Raises InputError."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in cls.HEADS and member.size > cls.LONGEST:
            raise InputError(f"a head of {member.size:,} bytes in an archive, which is damaged")
        return member


class Source:
    """Where the parts of the dataset are: in folders, and in archives, extracted to `raw`."""

    def __init__(self, folder, raw):
        self.folder, self.raw = Path(folder), Path(raw)
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        self.metadata = next((path for path in files if path.name == "metadata.xml"), None)
        self.archives = [path for path in files if path.name.endswith(ARCHIVES)]

    def place(self, subject, kind):
        """The folder of a subject's files of a kind; None if there is none."""
        for root in (self.folder, self.raw):
            for path in (root / subject / PLACES[kind], *root.glob(f"*/{subject}/{PLACES[kind]}")):
                if path.is_dir() and any(path.iterdir()):
                    return path
        return None

    def archive(self, subject, kind):
        """The archive of a subject's files of a kind; None if there is none."""
        for path in self.archives:
            name = path.relative_to(self.folder).as_posix()
            of_subject = re.search(rf"(?<![A-Za-z0-9]){subject}(?!\d)", name)
            if of_subject and re.search(rf"{kind}(?!_mono)", path.name):
                return path
        return None

    def extract(self, subject, kind):
        """Extract the archive of a subject's files of a kind to `raw`.

        Each file is written whole or not at all; those that are there already stay. Raises
        InputError when the archive is damaged.
        """
        archive = self.archive(subject, kind)
        with _reading(archive, self.raw) as opened:
            # A stream: read once.
            files = tarfile.open(fileobj=opened, mode="r|*", tarinfo=_Member)
            size, total = os.fstat(opened.fileno()).st_size / foreign.MB, 0.0
            for member in tqdm(files, f"extract {archive.name}", unit="file", disable=None):
                total += member.size / foreign.MB
                if total > limits.HARMLESS_MB:
                    limits.check(archive, "expansion", total / size)
                self._extract_member(files, member, subject, kind)

    def _extract_member(self, files, member, subject, kind):
        """Extract a file of an archive, if it is of the kind, and not there yet."""
        name = Path(member.name)
        wanted = member.isfile() and f"/{PLACES[kind]}/" in f"/{name.parent}/"
        target = self.raw / subject / PLACES[kind] / name.name
        if not wanted or name.name.startswith("_"):
            return
        others = [part for part in name.parts if re.fullmatch(r"S\d+", part) and part != subject]
        if others:
            raise InputError(f"expected files of {subject}, got {short(str(name))}")
        if target.is_file() and target.stat().st_size == member.size:
            return
        if member.issparse():  # a few bytes would become any number
            raise InputError(f"{name.name}: expected a whole file in the archive, got a sparse one")
        with replacing(target) as temporary, open(temporary, "wb") as file:
            source = files.extractfile(member)
            while block := source.read(1 << 20):
                file.write(block)
            if file.tell() != member.size:
                raise InputError(f"{name.name}: the archive is cut off")

    def is_whole(self, subject, kind, known):
        """Whether there is a folder of a subject's files of a kind, with all of them: those of the
        sequences known (`recordings`), if any are."""
        return self.place(subject, kind) is not None and not (
            known and self.missing(subject, kind, known.get(subject, {}))
        )

    def missing(self, subject, kind, sequences):
        """Lines that say which of a subject's files of a kind are not there."""
        place = self.place(subject, kind)
        if place is None:
            return [
                f"{subject}: {PLACES[kind]}: no such folder, nor an archive of it such as "
                f"Poses_{kind}_{subject}.tgz".replace("Poses_Videos", "Videos")
            ]
        expected = _files(kind, sequences)
        absent = [name for name in expected if not (place / name).is_file()]
        if not absent:
            return []
        more = f", ... and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
        return [
            f"{place}: {len(absent)} of {len(expected)} files are missing: "
            f"{', '.join(absent[:SHOWN])}{more}"
        ]


@contextlib.contextmanager
def _reading(archive, raw):
    """An archive, opened, whose damage becomes an InputError. raw: the folder that is written."""
    try:
        with foreign.open_file(archive, InputError) as opened:
            yield opened
    except InputError as error:
        said = str(error).removeprefix(f"{archive}: ")
        raise InputError(f"{archive}: {said}") from None
    # AttributeError: tarfile's, of a gzip head with an extra field, read before it is ready.
    except (tarfile.TarError, AttributeError, *foreign.DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise OSError(error.errno, error.strerror, str(raw)) from None
        said = short(str(error) or type(error).__name__, 100)
        raise InputError(f"{archive}: expected an archive, got {said}; copy it") from None


def check_ends(source, subjects, kinds):
    """Refuse archives of the subjects' files that are cut short, before any is extracted.

    Of one by gzip the last bytes alone are read: they are the size of what is in it, which of a tar
    is a whole number of blocks. Cut bytes are so by chance in one case of 512, which is seen when
    it is extracted, as what other programs packed is. Raises InputError.
    """
    known = recordings(source.metadata)
    for subject, kind in itertools.product(subjects, kinds):
        archive = source.archive(subject, kind)
        if not archive or source.is_whole(subject, kind, known):
            continue
        with _reading(archive, source.raw) as opened:
            head = opened.read(max(map(len, OTHERS)))
            if head.startswith(GZIP):
                opened.seek(max(0, os.fstat(opened.fileno()).st_size - 4))
                if int.from_bytes(opened.read(4), "little") % tarfile.BLOCKSIZE:
                    raise tarfile.ReadError("one cut short")
            elif not head.startswith(OTHERS):
                opened.seek(0)
                for _ in tarfile.open(fileobj=opened, mode="r:", tarinfo=_Member):
                    pass  # from head to head


def _files(kind, sequences):
    """The names of the files of a kind that a subject's sequences have."""
    if kind == "D3_Positions":
        return [f"{name}.cdf" for name in sequences]
    suffix = "mp4" if kind == "Videos" else "cdf"
    return [f"{name}.{camera}.{suffix}" for name in sequences for camera in protocols.CAMERAS]


def missing_parts(source, subjects, kinds):
    """Lines that say which files of the subjects are in neither a folder nor an archive.

    Nothing is extracted: what is in an archive is believed to be there.
    """
    known = recordings(source.metadata)
    return [
        line
        for subject, kind in itertools.product(subjects, kinds)
        if not source.archive(subject, kind)
        for line in source.missing(subject, kind, known.get(subject, {}))
    ]


def check(source, subjects, kinds):
    """{subject: {sequence: (action, trial)}} when all files of the subjects are there.

    Extracts archives where a folder lacks files. Raises MissingError, which lists all that is not
    there, or InputError.
    """
    if source.metadata is None:
        raise InputError(
            f"{source.folder}: no metadata.xml (cameras and trials): it is in the code release of "
            "the dataset, Release-v1.2; put it into this folder"
        )
    known, lines = recordings(source.metadata), []
    check_ends(source, subjects, kinds)
    for subject, kind in itertools.product(subjects, kinds):
        if source.archive(subject, kind) and not source.is_whole(subject, kind, known):
            source.extract(subject, kind)
        # Where metadata.xml has no table, the sequences are those that have 3D positions.
        if subject not in known and (place := source.place(subject, "D3_Positions")):
            names = [p.stem for p in place.glob("*.cdf") if not p.stem.startswith("_")]
            known[subject] = protocols.trials_of(sorted(names))
        lines += source.missing(subject, kind, known.get(subject, {}))
    if lines:
        raise MissingError(source.folder, lines)
    return known
