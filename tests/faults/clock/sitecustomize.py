"""Sets the clock back while a program runs: by FAULTS_CLOCK seconds from the second look on."""

import itertools
import os
import time

_asked, _real = itertools.count(), time.time
_back = float(os.environ.get("FAULTS_CLOCK", 0))


def _time():
    return _real() - (_back if next(_asked) else 0)


time.time, time.time_ns = _time, lambda: int(1e9 * _time())
