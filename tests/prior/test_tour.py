"""prior/tour.ipynb, from top to bottom, and that what its text says is so."""

import json
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest

NOTEBOOK = Path("prior/tour.ipynb")


@pytest.mark.slow
def test_the_notebook_runs(capsys):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    document = json.loads(NOTEBOOK.read_text())
    assert document["nbformat"] == 4
    cells = ["".join(c["source"]) for c in document["cells"] if c["cell_type"] == "code"]
    plt.close("all")
    place = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        for i, cell in enumerate(cells):
            exec(compile(cell, f"{NOTEBOOK}, code cell {i}", "exec"), place)
    assert len(plt.get_fignums()) == 2 and len(place["modes"].axes) == 1 + 2 * 7
    plt.close("all")
    assert "small model" in capsys.readouterr().out
    # The less sure, the more wrong.
    said, made = np.array(place["by_group"]).T
    assert (np.diff(said) > 0).all() and made[-1] > 1.2 * made[0]
    # The posterior is long in depth, and a wrong elevation costs.
    assert place["spread"][2] > 1.5 * place["spread"][0]
    assert place["off"][2] > max(place["off"][:2])
    assert place["by_tilt"][30] > 1.2 * place["by_tilt"][10]
