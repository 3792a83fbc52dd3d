"""What `pip install .` installs: the prior alone, with its models and the command lift-prior."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

FOLDERS = ("prior", "python_layers", "prototxt", "tools", "tests")
SETUPTOOLS = int(metadata.version("setuptools").split(".")[0])
# Older ones do not know this key of pyproject.toml in this form.
LICENCE, OLD_LICENCE = 'license = "BSD-2-Clause"', 'license = { text = "BSD-2-Clause" }'


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The files that are installed, {name: path}, and the text of the entry points."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for name in FOLDERS:
        shutil.copytree(name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(name, source)
    build = _wheel if SETUPTOOLS >= 77 else _built
    return build(source, out)


def _wheel(source, out):
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", out, source], check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "files")
    (info,) = (out / "files").glob("*.dist-info")
    entry_points = (info / "entry_points.txt").read_text()
    shutil.rmtree(info)
    return _files(out / "files"), entry_points


def _built(source, out):
    """The same from setuptools that cannot make a wheel of this project."""
    project = source / "pyproject.toml"
    text = project.read_text()
    assert LICENCE in text
    text = text.replace(LICENCE, OLD_LICENCE).replace('license-files = ["LICENSE"]\n', "")
    project.write_text(text)
    setup = "import setuptools; setuptools.setup()"
    commands = ["egg_info", "--egg-base", out, "build_py", "--build-lib", out / "files"]
    subprocess.run(
        [sys.executable, "-c", setup, *map(str, commands)],
        cwd=source,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        check=True,
        capture_output=True,
    )
    (entry_points,) = out.glob("*.egg-info/entry_points.txt")
    return _files(out / "files"), entry_points.read_text()


def _files(folder):
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file for file in files}


def test_the_prior_and_its_models_are_installed_and_nothing_else(installed):
    files, _ = installed
    expected = {file.as_posix() for file in Path("prior").rglob("*.py")}
    expected |= {file.as_posix() for file in Path("prior/models").glob("*.npz")}
    expected |= {file.as_posix() for file in Path("prior/mocap/motion").glob("*.*")}
    assert set(files) == expected | {"prior/models/README.md"}
    assert {"prior/models/cmu_all.npz", "prior/mocap/motion/cmu.npz"} <= set(files)


def test_the_command_is_lift_prior(installed):
    _, entry_points = installed
    assert "[console_scripts]\nlift-prior = prior.__main__:main" in entry_points


@pytest.mark.slow
def test_the_installed_files_load_the_model_and_show_the_help(installed, tmp_path):
    files, _ = installed
    root = files["prior/__init__.py"].parents[1]
    code = (
        "import sys; import prior; from prior.__main__ import main; "
        "assert prior.load().components == 3; "
        "sys.argv[0] = 'bin/lift-prior'; main(['--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("usage: lift-prior")
