"""Tables of what does not depend on the landmarks' places: precomputed, kept, shared.

What this does to reference.py: everything in its loops that depends only on the model, the camera's
elevation and the landmarks' weights is computed once for all combinations of component and
rotation. Poses with one camera share a table of its elevation. Where each pose has its own camera,
tables are made 0.5 degrees apart, and the search interpolates between two of them.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.lifting import search
from prior.lifting import weak_perspective as weak

# Where poses come each with a camera of its own, tables hold two elevations so far apart, and the
# forms in between are interpolated.
ELEVATION_STEP = np.deg2rad(0.5)

# Combinations whose tables are kept: up to 375 MB, 88 elevations for 3 components and 80 rotations.
# At least one table is kept.
KEPT = 88 * 240


class Table(NamedTuple):
    """The search's forms; the elevation where they start, radians; the linear maps of all
    combinations there; exact: the forms are for that elevation alone."""

    forms: search.Forms
    elevation: float
    maps: weak.LinearMaps
    exact: bool


class Key(NamedTuple):
    """What a Table depends on. elevation: where it starts, radians; weight: bytes of (L,) float64;
    exact: for that elevation alone; compressed: the forms are of low rank."""

    elevation: float
    weight: bytes
    exact: bool
    compressed: bool


class Cache:
    """The Tables used last, by Key; several threads may use it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._tables: OrderedDict[Key, Table] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._tables)

    def __contains__(self, key: Key) -> bool:
        with self._lock:
            return key in self._tables

    def get(self, key: Key) -> Table | None:
        """The Table, which then is the one used last; None if it is not kept."""
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
            return self._tables.get(key)

    def put(self, key: Key, table: Table) -> None:
        """Keep a Table, and give up those that were not used for longest."""
        with self._lock:
            self._tables[key] = table
            while len(self._tables) > self.limit:
                self._tables.popitem(last=False)


class Tables:
    """Makes and keeps the Tables of C combinations of component, angle and log prior."""

    def __init__(
        self,
        projector: weak.Projector,
        component: Int[np.ndarray, "C"],
        angle: Float[np.ndarray, "C"],
        log_prior: Float[np.ndarray, "C"],
    ) -> None:
        self._projector = projector
        self._component, self._angle, self._log_prior = component, angle, log_prior
        self.cache = Cache(max(1, KEPT // len(angle)))

    def groups(self, images: weak.Observations) -> Iterator[tuple[Int[np.ndarray, "n"], Table]]:
        """Rows that share a Table, and the Table."""
        weight, elevation = images.weight, images.elevation
        count = len(elevation)
        alike = bool(count) and bool((weight == weight[0]).all())
        if images.one_camera and alike:
            yield np.arange(count), self.table(elevation[0], weight[0], True, count)
            return
        step = np.floor(elevation / ELEVATION_STEP)
        if alike:  # numpy is slow to find different rows
            steps, group = np.unique(step, return_inverse=True)
            keys = np.concatenate([steps[:, None], np.tile(weight[0], (len(steps), 1))], axis=1)
        else:
            keys = np.concatenate([step[:, None], weight], axis=1)
            keys, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(group.ravel(), minlength=len(keys)))
        for key, rows in zip(keys, np.split(order, ends)[: len(keys)], strict=True):
            first = elevation[rows[0]]
            # A table of one elevation pays for a camera of all poses, for many poses of it, or
            # where it is there already.
            own = images.one_camera or len(rows) >= len(self._angle)
            own = own or Key(float(first), key[1:].tobytes(), True, False) in self.cache
            if own and (elevation[rows] == first).all():
                yield rows, self.table(first, key[1:], True, len(rows))
            else:
                yield rows, self.table(key[0] * ELEVATION_STEP, key[1:], False, len(rows))

    def table(
        self, elevation: float, weight: Float[np.ndarray, "L"], exact: bool, count: int
    ) -> Table:
        """The Table that starts at an elevation, made at its first use. exact: for that elevation
        alone; count: of poses, which decides whether compressing the forms pays."""
        compress = exact and count >= len(self._angle)
        key = Key(float(elevation), weight.tobytes(), exact, compress)
        table = self.cache.get(key)
        if table is None:
            dimensions = int(weak.dimensions(weight))
            here, maps = self._all(elevation, weight)
            there = None if exact else self._all(elevation + ELEVATION_STEP, weight)[0]
            forms = search.pack(here, there, dimensions, compress)
            table = Table(forms, float(elevation), maps, exact)
            self.cache.put(key, table)
        return table

    def _all(
        self, elevation: float, weight: Float[np.ndarray, "L"]
    ) -> tuple[search.ExactForms, weak.LinearMaps]:
        """Forms and linear maps of all combinations at an elevation."""
        forms, maps = [], []
        for i in range(0, len(self._angle), weak.BATCH):
            batch = slice(i, i + weak.BATCH)
            component, angle = self._component[batch], self._angle[batch]
            systems = self._projector.systems(
                component,
                angle,
                np.full(len(angle), elevation),
                np.broadcast_to(weight, (len(angle), len(weight))),
            )
            dimensions = int(weak.dimensions(weight))
            forms.append(search.exact_forms(systems, dimensions, self._log_prior[batch]))
            maps.append(weak.linear_maps(systems))
        return (
            search.ExactForms(*(np.concatenate(a) for a in zip(*forms, strict=True))),
            weak.LinearMaps(*(np.concatenate(a) for a in zip(*maps, strict=True))),
        )
