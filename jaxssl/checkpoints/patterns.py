"""Brackets in the path of a run are no pattern.

Orbax finds the parts of an item by ``epath.Path.glob``, which reads the directory's own name as a
pattern too: what is saved in ``runs/[lr=1]`` would be left in parts that nothing can restore.
"""

import glob
import os
from collections.abc import Iterator

from etils import epath

_LOCAL = type(epath.Path())
_glob = _LOCAL.glob


def _of_names_inside(self: epath.Path, pattern: str) -> Iterator[epath.Path]:
    """``Path.glob`` that takes its own path literally; of remote ones, what it was."""
    if "://" in os.fspath(self):
        return _glob(self, pattern)
    return map(_LOCAL, glob.glob(os.path.join(glob.escape(os.fspath(self)), pattern)))


def escape_directories() -> None:
    """Makes Orbax find what it saved, whatever the directory is called."""
    _LOCAL.glob = _of_names_inside
