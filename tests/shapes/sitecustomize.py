"""Checks the shapes in the signatures of prior/ and python_layers/ at run time.

tests/conftest.py asks for it in the process of the tests. Python itself imports a module of this
name when it starts: tests/caffe/conftest.py puts this folder into PYTHONPATH, so the layers are
checked inside Caffe's processes too. Other processes go without, since it costs each half a second.
"""

import importlib.util
import sys

CHECKED = ["prior", "python_layers"]
# An int is a float too, as for mypy.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"


class _AtFirstImport:
    """Installs jaxtyping's import hook when the first of the packages is imported: a process that
    imports none of them need not load it."""

    def find_spec(self, name, path=None, target=None):
        # Other environments, such as MediaPipe's, have no beartype.
        if name not in CHECKED or importlib.util.find_spec("beartype") is None:
            return None
        from jaxtyping import install_import_hook

        sys.meta_path.remove(self)
        install_import_hook(CHECKED, CHECKER)
        return sys.meta_path[0].find_spec(name, path, target)


def check_shapes():
    """Check shapes in this process. Nothing of CHECKED may have been imported yet."""
    early = [name for name in CHECKED if name in sys.modules]
    if early:
        raise ImportError(f"expected to come before the import of {early}")
    sys.meta_path.insert(0, _AtFirstImport())


if __name__ == "sitecustomize":
    check_shapes()
