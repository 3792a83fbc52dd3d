"""Curves of one or more trainings: python -m tools.train.curves FOLDER... --out curves.png.

From each FOLDER/loss.csv: the loss, and where one training is drawn the loss of each stage.
"""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prior import foreign, program
from prior.errors import InputError, short
from prior.files import replacing
from tools.labels import plain

# A stage's loss is that of one batch, so it is drawn as the means over so many parts of the
# training: our choice.
PARTS = 60


class CurveError(InputError):
    """A table of losses that cannot be drawn, in one line."""


def read(folder):
    """Rows of FOLDER/loss.csv, as text. Raises CurveError."""
    return read_table(Path(folder) / "loss.csv")


def read_table(path):
    """Rows of a loss.csv, as text. Raises CurveError."""
    text = foreign.read_text(path, CurveError)
    try:
        table = csv.DictReader(io.StringIO(text), strict=True)
        rows = list(table)
    except csv.Error as error:
        raise CurveError(f"{path}: expected a table of losses: {short(str(error))}") from None
    missing = {"iteration", "seconds", "loss"} - set(table.fieldnames or ())
    if missing:
        raise CurveError(f"{path}: expected the columns iteration, seconds and loss, as trained")
    for number, row in enumerate(rows, 1):
        if not all(_is_number(value) for value in row.values() if value != "") or not (
            row["iteration"].isdecimal() and row["seconds"] and row["loss"]
        ):
            got = short(",".join(map(str, row.values())))
            raise CurveError(f"{path}: row {number}: expected numbers, got {got}; remove the file")
    return rows


def _is_number(text):
    """Whether a cell holds a number of reasonable length; None and lists are cells too many."""
    try:
        return isinstance(text, str) and len(text) < 40 and bool(float(text) or True)
    except ValueError:
        return False


def draw(runs, out):
    """Draw {name: rows of a loss.csv} into the image `out`; without a row nothing is drawn.

    Raises CurveError.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = {name: rows for name, rows in runs.items() if rows}
    if not runs:
        return
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    try:
        for name, rows in runs.items():
            axes.plot(*_column(name, rows, "loss"), label=plain(name) if len(runs) > 1 else "loss")
        if len(runs) == 1:
            ((name, rows),) = runs.items()
            for column in dict.fromkeys(key for row in rows for key in row):
                if column not in ("iteration", "seconds", "loss"):
                    axes.plot(
                        *_means(*_column(name, rows, column)), label=plain(column), linewidth=1
                    )
        axes.set(xlabel="iteration", ylabel="loss", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
        with replacing(out) as temporary:
            figure.savefig(temporary, dpi=120, format="png")
    finally:
        pyplot.close(figure)


def _column(name, rows, column):
    """Iterations and values, without values that a logarithmic axis cannot show."""
    try:
        pairs = [(int(row["iteration"]), float(row[column])) for row in rows if row.get(column)]
    except (KeyError, ValueError, TypeError) as error:
        raise CurveError(f"{name}/loss.csv: expected numbers: {error}") from None
    positive = np.array([pair for pair in pairs if np.isfinite(pair[1]) and pair[1] > 0])
    return positive.reshape(-1, 2).T


def _means(iterations, values):
    """Both averaged over consecutive parts."""
    parts = min(PARTS, max(1, len(values)))
    return [
        [part.mean() for part in np.array_split(a, parts) if len(part)]
        for a in (iterations, values)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.train.curves",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="the folder of a training"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="the image to write")
    return parser


def draw_curves(options):
    """Draw the curves of the folders into one image."""
    runs = {str(folder): read(folder) for folder in options.folders}
    if not any(runs.values()):
        raise CurveError(f"{options.folders[0]}/loss.csv: expected losses, got none")
    draw(runs, options.out)
    print(options.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), draw_curves, arguments)


if __name__ == "__main__":
    sys.exit(main())
