"""The house: which room may import which, as CONTRIBUTING.md says."""

import ast
import functools
from pathlib import Path

import pytest

# From the ground up; a module imports its own room and those before it.
ROOMS = (
    "prior.errors prior.files prior.limits prior.document prior.foreign prior.pickled prior.matlab"
    " prior.signals prior.npz prior.limited",
    "prior.cdf",
    "prior.program prior.chunks prior.skeleton prior.skeleton_file prior.camera prior.partitions",
    "prior.cluster",
    "prior.landmark_sets prior.normalise prior.metrics prior.ppca",
    "prior.mocap",
    "prior.model prior.mat_file",
    "prior.fitting prior.lifting",
    "prior",
    "python_layers",
    "prototxt",
    "tools tools.arguments tools.labels tools.markdown tools.measured tools.pictures tools.pages",
    "tools.setup tools.caffe tools.caffe_io",
    "tools.infer tools.train tools.evaluate tools.convert tools.rendered",
    "tools.lift tools.report",
    "tools.bench tools.paper",
    "tools.report.results",
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms.split()}
FILES = sorted(
    file
    for folder in ("prior", "python_layers", "prototxt", "tools")
    for file in Path(folder).rglob("*.py")
    if "metadata" not in file.parts
)


def _level(module):
    """The level of the innermost room that a module is in."""
    names = module.split(".")
    rooms = (".".join(names[:i]) for i in range(len(names), 0, -1))
    return next((LEVEL[room] for room in rooms if room in LEVEL), None)


def _module(file):
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


KNOWN = {_module(file) for file in FILES}


@functools.cache
def _imports(file):
    """The project's modules that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: write whole names: from {'.' * node.level} ..."
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.append(inner if inner in KNOWN else node.module)
    return names


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_go_one_way(file):
    level = _level(_module(file))
    assert level is not None, "a new room: say in ROOMS where it stands"
    above = [name for name in _imports(file) if (_level(name) or 0) > level]
    assert not above, f"{file} imports from rooms above its own: {above}"


def test_the_prior_never_imports_caffe():
    files = [file for file in FILES if file.parts[0] == "prior"]
    assert not [str(f) for f in files if {n.split(".")[0] for n in _imports(f)} & {"caffe"}]


def test_no_program_imports_the_tests():
    assert not [str(f) for f in FILES if {n.split(".")[0] for n in _imports(f)} & {"tests"}]


def test_no_module_is_part_of_a_circle():
    graph = {_module(file): set(_imports(file)) for file in FILES}
    done: set[str] = set()

    def visit(module, path):
        assert module not in path, f"a circle: {' -> '.join([*path, module])}"
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, [*path, module])
            done.add(module)

    for module in graph:
        visit(module, [])
