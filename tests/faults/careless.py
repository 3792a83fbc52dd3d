"""A program that keeps none of the promises: python -m tests.faults.careless FILE.

It writes in place and slowly, leaves a process running when it is ended, and a file behind.
"""

import subprocess
import sys
import time
from pathlib import Path


def main(path):
    """Write the file."""
    (path.parent / f".part.{path.name}").write_text("{")
    child = subprocess.Popen(["sleep", "60"])
    with open(path, "w") as file:
        for part in ("{", '"a"', ": 1", "}"):
            file.write(part)
            file.flush()
            time.sleep(0.1)
    child.kill()
    (path.parent / f".part.{path.name}").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
