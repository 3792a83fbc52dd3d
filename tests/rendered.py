"""Whether what the rendered dataset is made from is installed."""

import importlib.util

import pytest

MISSING = [p for p in ("anny", "vtkmodules") if importlib.util.find_spec(p) is None]
needs_data = pytest.mark.skipif(
    bool(MISSING),
    reason=f"not installed: {', '.join(MISSING)}; make venv-demo installs it",
)
