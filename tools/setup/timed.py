"""timed.py NAME COMMAND...: run a command and keep its seconds and memory in build/steps/NAME.json.

For the demo's report. Runs on any Python 3, since the first steps make the virtual environment.
"""

import json
import os
import resource
import subprocess
import sys
import time

if __name__ == "__main__":
    name, *command = sys.argv[1:]
    started = time.time()
    try:
        status = subprocess.call(command)
    except KeyboardInterrupt:
        sys.exit(130)
    if status == 0:
        step = {
            "name": name,
            "started": started,
            "seconds": round(time.time() - started, 1),
            # Of the largest single process; Linux counts in kB.
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        }
        os.makedirs("build/steps", exist_ok=True)
        with open(f"build/steps/{name}.json.tmp", "w") as file:
            json.dump(step, file)
        os.replace(f"build/steps/{name}.json.tmp", f"build/steps/{name}.json")
    sys.exit(status)
