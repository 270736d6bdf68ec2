"""What a linear probe keeps between the calls of a run: one file beside each checkpoint."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxssl import files
from jaxssl.online import linear


class KeptProbes:
    """The files STEP.npz of a directory, which the first process writes."""

    def __init__(self, place: Path):
        self._place = place

    def save(self, step: int, probe: linear.LinearProbe) -> None:
        """Writes what a probe is after a step, whole or not at all."""
        content = io.BytesIO()
        np.savez(content, **jax.device_get(vars(probe)))
        files.make_directory(self._place)
        files.write_whole(self._file(step), content.getvalue())

    def restore(self, step: int) -> linear.LinearProbe | None:
        """The probe after a step, on the host; None where it was not saved.

        Raises:
            ValueError: a damaged file.
        """
        file = self._file(step)
        if not file.exists():
            return None
        try:
            with np.load(file) as content:
                return linear.LinearProbe(**content)
        except (ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"run.probe: {file} must be a probe as it was written; got {error}. Delete it: the "
                "probe then begins anew, and the run goes on as it would."
            ) from error

    def delete(self, unwanted: Callable[[int], bool]) -> None:
        """Deletes the files of some steps."""
        for file in self._place.glob("*.npz"):
            if re.fullmatch(r"\d+", file.stem) and unwanted(int(file.stem)):
                file.unlink()

    def _file(self, step: int) -> Path:
        return self._place / f"{step}.npz"
