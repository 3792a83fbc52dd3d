"""The scripts that choose CUDA's toolkit, cuDNN and what to compile for, with programs made up in
their place: a machine with or without CUDA gives the same answers."""

import os
import re
import subprocess
from pathlib import Path

import pytest

TOOLKIT, ARCHITECTURE, CUDNN = (
    Path(f"tools/caffe/{name}.sh") for name in ("toolkit", "architecture", "cudnn")
)
# In Python's place: unpacks as asked, and in place of a download writes the wheels {name: {path in
# it: content}}.
PIP = """
import pathlib, runpy, sys, zipfile
arguments = sys.argv[1:]
if "download" not in arguments:
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
    sys.exit()
folder = pathlib.Path(arguments[arguments.index("--dest") + 1])
folder.mkdir(parents=True)
for name, files in {wheels}.items():
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
"""
NVCC = """
case "$*" in
  --version) echo "Cuda compilation tools, release {version}, V{version}.1" ;;
  --list-gpu-arch) printf 'compute_%s\\n' {known} ;;
  *) {compiles} ;;
esac
"""
NVIDIA_SMI = """
case "$*" in
  --query-gpu*) {query} ;;
  *) echo "| NVIDIA-SMI 1   Driver Version: 1   CUDA Version: {driver}  |" ;;
esac
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a script in an empty folder with a bare environment: its result."""

    def run(script, *arguments, **environment):
        return subprocess.run(
            [script.resolve(), *arguments],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path / 'path'}:/usr/bin:/bin", "CUDA_USUAL": "/none"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text)
    path.chmod(0o755)
    return path


def nvcc(folder, version="13.5", known="75 80 90 120", compiles=":"):
    """An nvcc in a toolkit's folder."""
    text = NVCC.format(version=version, known=known, compiles=compiles)
    return program(folder / "bin/nvcc", text)


def smi(tmp_path, query="echo 9.0", driver="13.5"):
    """The machine's nvidia-smi."""
    return program(tmp_path / "path/nvidia-smi", NVIDIA_SMI.format(query=query, driver=driver))


def pip(tmp_path, wheels):
    """A Python whose pip downloads wheels."""
    code = tmp_path / "pip.py"
    code.write_text(PIP.replace("{wheels}", repr(wheels)))
    (tmp_path / "tools").symlink_to(Path("tools").resolve())
    return str(program(tmp_path / "python", f'exec /usr/bin/python3 {code} "$@"'))


def only_line(result):
    """The one line that a script refuses with."""
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("caffe: ")
    return line


def test_the_first_whole_toolkit_is_taken(tmp_path, run):
    """CUDA_HOME, then the PATH, then the usual place; and it says which."""
    named, usual = nvcc(tmp_path / "named", "12.8"), nvcc(tmp_path / "usual", "13.0")
    environment = {"CUDA_USUAL": str(usual.parents[1])}
    result = run(TOOLKIT, **environment)
    assert result.stdout == f"{usual}\n" and f"CUDA 13.0, of {usual}" in result.stderr
    on_path = nvcc(tmp_path / "elsewhere", "13.5")
    environment["PATH"] = f"{on_path.parent}:/usr/bin:/bin"
    result = run(TOOLKIT, **environment)
    assert result.stdout == f"{on_path}\n" and "CUDA 13.5" in result.stderr
    result = run(TOOLKIT, **environment, CUDA_HOME=str(named.parents[1]))
    assert result.stdout == f"{named}\n" and "CUDA 12.8, of CUDA_HOME" in result.stderr


def test_a_named_toolkit_that_is_none_is_refused(tmp_path, run):
    home = tmp_path / "cuda"
    assert "no nvcc at" in only_line(run(TOOLKIT, CUDA_HOME=str(home)))
    nvcc(home, compiles="echo 'try.cu:2: fatal error: curand.h: No such file' >&2; exit 1")
    line = only_line(run(TOOLKIT, CUDA_HOME=str(home)))
    assert "curand.h: No such file" in line and "leave CUDA_HOME unset" in line
    program(home / "bin/nvcc", "exit 1")
    assert "does not run" in only_line(run(TOOLKIT, CUDA_HOME=str(home)))


def test_a_toolkit_without_curand_is_passed_over(tmp_path, run):
    """One that nobody named is not insisted on: the next one counts, and the reason is said."""
    lacking = nvcc(tmp_path / "lacking", compiles="echo 'error: cannot find -lcurand'; exit 1")
    usual = nvcc(tmp_path / "usual")
    path = f"{lacking.parent}:/usr/bin:/bin"
    result = run(TOOLKIT, PATH=path, CUDA_USUAL=str(usual.parents[1]))
    assert result.stdout == f"{usual}\n"
    assert f"passed over {lacking}: " in result.stderr and "-lcurand" in result.stderr


def test_without_toolkit_and_network_or_room_it_says_what_to_set(tmp_path, run):
    (tmp_path / "tools").symlink_to(Path("tools").resolve())
    python = program(tmp_path / "python", "exit 1")  # pip that reaches no index
    result = run(TOOLKIT, PYTHON=str(python))
    assert result.returncode == 1
    said = "no CUDA, and no network to fetch it: set CUDA_HOME=/path/to/cuda"
    assert said in result.stderr.splitlines()[-1]
    program(tmp_path / "path/df", "printf 'Avail\\n 12\\n'")
    line = only_line(run(TOOLKIT, PYTHON=str(python)))
    assert "needs 2000 MB in build, and 12 MB are free" in line


def test_wheels_become_a_toolkit(tmp_path, run):
    """Run bits, the names that a linker looks for, and lib64; the wheels themselves go."""
    compiler = nvcc(tmp_path / "whole").read_text()
    wheels = {
        "nvcc.whl": {"nvidia/cu13/bin/nvcc": compiler, "nvidia/cu13/nvvm/bin/cicc": ""},
        "runtime.whl": {
            "nvidia/cu13/lib/libcudart.so.13": "",
            "nvidia_cuda_runtime.dist-info/METADATA": "",
        },
    }
    result = run(TOOLKIT, PYTHON=pip(tmp_path, wheels))
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path}/build/cuda/bin/nvcc\n"
    cuda = tmp_path / "build/cuda"
    assert os.access(cuda / "bin/nvcc", os.X_OK) and os.access(cuda / "nvvm/bin/cicc", os.X_OK)
    assert (cuda / "lib64/libcudart.so").resolve() == (cuda / "lib/libcudart.so.13").resolve()
    assert not list((tmp_path / "build").rglob("*.whl"))
    again = run(TOOLKIT, PYTHON="/none")
    assert again.stdout == result.stdout and "fetched before" in again.stderr


def test_the_wheel_of_cudnn_becomes_a_folder(tmp_path, run):
    files = ("cudnn/include/cudnn.h", "cudnn/lib/libcudnn.so.9", "__init__.py")
    python = pip(tmp_path, {"cudnn.whl": {f"nvidia/{file}": "" for file in files}})
    compiler = nvcc(tmp_path / "cuda")
    result = run(CUDNN, compiler, PYTHON=python)
    folder = tmp_path / "build/cudnn"
    assert result.stdout == f"{folder}\n", result.stderr
    assert (folder / "lib/libcudnn.so").resolve() == folder / "lib/libcudnn.so.9"
    again = run(CUDNN, compiler, PYTHON="/none")
    assert again.stdout == result.stdout and "fetched before" in again.stderr
    named = run(CUDNN, nvcc(tmp_path / "older", "12.8"), CUDNN_HOME=str(folder))
    assert named.stdout == result.stdout and "of CUDNN_HOME" in named.stderr


def test_no_cudnn_is_one_line(tmp_path, run):
    (tmp_path / "tools").symlink_to(Path("tools").resolve())
    compiler = nvcc(tmp_path / "cuda")
    line = only_line(run(CUDNN, compiler, CUDNN_HOME=str(tmp_path)))
    assert "expected include/cudnn.h and lib/libcudnn.so there" in line
    line = only_line(run(CUDNN, nvcc(tmp_path / "older", "12.8")))
    assert "for CUDA 13, and nvcc is of CUDA 12" in line and "CUDNN_HOME=" in line
    python = program(tmp_path / "python", "exit 1")  # pip that reaches no index
    result = run(CUDNN, compiler, PYTHON=str(python))
    assert result.returncode == 1
    said = "no cuDNN, and no network to fetch it: set CUDNN_HOME=/path/to/cudnn"
    assert said in result.stderr.splitlines()[-1]
    program(tmp_path / "path/df", "printf 'Avail\\n 12\\n'")
    line = only_line(run(CUDNN, compiler, PYTHON=str(python)))
    assert "cuDNN needs 1500 MB in build, and 12 MB are free: make room, or set CUDNN_HOME" in line


def test_a_full_disk_is_seen_before_it_is_compiled(tmp_path, run):
    (tmp_path / "tools").symlink_to(Path("tools").resolve())
    program(tmp_path / "path/df", "printf 'Avail\\n 12\\n'")
    line = only_line(run(Path("tools/caffe/build.sh"), "cpu", "build/caffe"))
    assert line == "caffe: compiling needs 500 MB in build, and 12 MB are free: make room"
    assert not (tmp_path / "build/caffe.partial").exists()


def test_cudnn_without_a_gpu_is_refused_by_make():
    result = subprocess.run(
        ["make", "--dry-run", "caffe", "CUDNN=yes"], capture_output=True, text=True, check=False
    )
    assert result.returncode and "CUDNN=yes goes with a GPU, got none" in result.stderr


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["caffe"], "cpu build/caffe"),
        (["caffe", "GPU=yes"], "gpu build/caffe-gpu"),
        (["caffe", "GPU=yes", "CUDNN=yes"], "gpu-cudnn build/caffe-gpu-cudnn"),
        # Tests the build without cuDNN, whatever else is named.
        (["test-gpu-build"], "gpu build/caffe-gpu"),
        (["test-gpu-build", "GPU=yes", "CUDNN=yes"], "gpu build/caffe-gpu"),
    ],
)
def test_make_builds_each_kind_into_its_folder(words, kind):
    environment = {name: value for name, value in os.environ.items() if name != "CAFFE_ROOT"}
    done = subprocess.run(
        ["make", "--dry-run", "--what-if", "tools/caffe/build.sh", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if "build.sh" in line)
    assert line.endswith(f"tools/caffe/build.sh {kind}")


def test_the_wheels_are_pinned_and_have_a_compiler():
    text = Path("tools/caffe/cuda.txt").read_text()
    pins = dict(re.findall(r"^(nvidia-\S+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", text, re.M))
    parts = "cuda-nvcc nvvm cuda-crt cuda-runtime cuda-cccl curand cublas"
    assert set(pins) == {f"nvidia-{part}" for part in parts.split()}
    # The compiler's parts are of one release.
    assert len({pins[f"nvidia-{part}"] for part in ("cuda-nvcc", "nvvm", "cuda-crt")}) == 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("8.0", "80"), ("sm_90", "90"), ("7.5;9.0", "75;90"), ("12.0, 8.0 120", "120;80")],
)
def test_a_named_architecture(tmp_path, run, wanted, expected):
    result = run(ARCHITECTURE, nvcc(tmp_path / "cuda"), CUDA_ARCH=wanted)
    assert result.stdout == f"{expected}\n"


def test_the_architecture_is_asked_of_the_gpus(tmp_path, run):
    smi(tmp_path, query="printf '9.0\\n7.5\\n9.0\\n'")
    assert run(ARCHITECTURE, nvcc(tmp_path / "cuda")).stdout == "90;75\n"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("7.0", "compute capability 7.0: nvcc 13.5 compiles for 7.5 and newer; name an older CUDA"),
        ("13.1", "compute capability 13.1: nvcc 13.5 does not know it; name a newer CUDA"),
        ("volta", "expected a GPU's compute capability, such as 8.6, got volta"),
    ],
)
def test_an_architecture_that_nvcc_does_not_have(tmp_path, run, wanted, said):
    assert said in only_line(run(ARCHITECTURE, nvcc(tmp_path / "cuda"), CUDA_ARCH=wanted))


def test_without_a_gpu_to_ask_its_name_is_wanted(tmp_path, run):
    compiler = nvcc(tmp_path / "cuda")
    for name in ("bash", "sed"):  # and no nvidia-smi, which may be beside them
        program(tmp_path / "bare" / name, f'exec /bin/{name} "$@"')
    line = only_line(run(ARCHITECTURE, compiler, PATH=str(tmp_path / "bare")))
    assert "no nvidia-smi here" in line and "CUDA_ARCH=8.6" in line
    smi(tmp_path, query="echo 'it failed to reach the driver'; exit 9")
    line = only_line(run(ARCHITECTURE, compiler))
    assert "knows of no GPU (it failed to reach the driver)" in line


def test_a_driver_older_than_the_toolkit_is_refused(tmp_path, run):
    smi(tmp_path, driver="12.4")
    line = only_line(run(ARCHITECTURE, nvcc(tmp_path / "cuda")))
    assert "driver runs CUDA 12.4 at most, and nvcc is of 13.5: update the driver" in line
    assert run(ARCHITECTURE, nvcc(tmp_path / "older", version="12.8")).stdout == "90\n"
