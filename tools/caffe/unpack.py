"""unpack.py FOLDER: NVIDIA's wheels in FOLDER/wheels become one folder, FOLDER/unpacked.

Runs on any Python 3, without packages.
"""

import sys
import zipfile
from pathlib import Path


def unpack(folder: Path) -> None:
    """Unpack the wheels and remove them; give what was in them the names that tools look for."""
    for path in sorted(folder.glob("wheels/*.whl")):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(folder / "wheels")
        path.unlink()
    (whole,) = (path for path in folder.glob("wheels/nvidia/*") if path.is_dir())
    # An archive of Python's has no run bits, and these have neither the names that a linker looks
    # for nor the folder that CMake does.
    for program in [*whole.glob("bin/*"), *whole.glob("nvvm/bin/*")]:
        program.chmod(0o755)
    for library in whole.glob("lib/lib*.so.*"):
        link = library.parent / f"{library.name.split('.so.')[0]}.so"
        if not link.exists():
            link.symlink_to(library.name)
    (whole / "lib64").symlink_to("lib")
    whole.rename(folder / "unpacked")


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
