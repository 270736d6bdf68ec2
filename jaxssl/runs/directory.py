"""The directory of a run: what lies where, and who may write to it."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxssl import files, jsonable, meta, words

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Where everything of a run lies.

    Attributes:
        path: the directory, ``--out`` of ``jaxssl pretrain``.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The recipe and the data set, which make this run this run."""
        return self.path / "config.json"

    @property
    def lock(self) -> Path:
        """Held by the process that trains; names its host and its process."""
        return self.path / "lock"

    @property
    def metrics(self) -> Path:
        """One JSON object a row."""
        return self.path / "metrics.jsonl"

    @property
    def invocations(self) -> Path:
        """One JSON object each time the run begins or goes on: when, by what command, on what."""
        return self.path / "invocations.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Event files of the same rows."""
        return self.path / "tensorboard"

    def tracker(self, name: str) -> Path:
        """By what the run is known to a tracker of experiments, which gets it back on resume."""
        return self.path / f"{name}.id"

    @property
    def checkpoints(self) -> Path:
        """One directory a step."""
        return self.path / "checkpoints"

    @property
    def evaluation(self) -> Path:
        """One file a result."""
        return self.path / "evaluation"

    @property
    def online(self) -> Path:
        """Linear probes that learn beside the encoder, one file a checkpoint."""
        return self.path / "online"

    @property
    def online_about(self) -> Path:
        """What online probes are judged on."""
        return self.online / "judged.json"

    @property
    def propagation(self) -> Path:
        """Colours and masks carried through videos."""
        return self.path / "propagation"

    @property
    def report(self) -> Path:
        """The page and its pictures."""
        return self.path / "report"

    @property
    def audit(self) -> Path:
        """What an audit found."""
        return self.path / "audit"

    def leftovers(self) -> set[Path]:
        """What a process that was killed early may have left: no reason to refuse a directory."""
        return {self.lock, self.config.with_name(self.config.name + ".tmp")}


@contextlib.contextmanager
def hold(directory: RunDirectory) -> Iterator[None]:
    """Holds a run directory, which is made where it is missing, for this process alone.

    The lock is the system's, so that it is free again however the process that held it ended. With
    several processes the first holds it for all.

    Raises:
        ValueError: another living process holds it (names host and process), or there is something
            else than a directory. The directory is as it was.
    """
    refusal = _Held()
    if jax.process_index() == 0:
        refusal.take(directory)
    try:
        if _any_process(refusal.reason is not None):
            raise ValueError(refusal.reason or f"--out {directory.path}: refused on process 0.")
        yield
    finally:
        refusal.release()


class _Held:
    """The lock of one directory in this process, or why it was refused."""

    def __init__(self):
        self.reason: str | None = None
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._made: list[Path] = []

    def take(self, directory: RunDirectory) -> None:
        """Takes the lock; sets ``reason`` where that is refused."""
        whole = str(directory.path.absolute())
        if any("\udc80" <= letter <= "\udcff" for letter in whole):
            self.reason = (
                f"--out {words.printable(whole)}: must be UTF-8, since arrays are written to no "
                "other path; got other bytes. Choose another --out."
            )
            return
        try:
            self._made = files.make_directory(directory.path)
        except (FileExistsError, NotADirectoryError):
            self.reason = (
                f"--out {directory.path}: must be a directory; got a file. Choose another --out."
            )
            return
        self._path = directory.lock
        self._descriptor = _locked(directory.lock)
        if self._descriptor is None:
            self.reason = (
                f"--out {directory.path}: must not be in use; {_holder(directory.lock)} is "
                "training there. Wait for it, stop it, or choose another --out."
            )

    def release(self) -> None:
        """Gives the lock back, and takes away what was made for it alone."""
        if self._descriptor is None:
            return
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        for path in reversed(self._made):
            with contextlib.suppress(OSError):  # it holds a run by now
                path.rmdir()


def _locked(path: Path) -> int | None:
    """A descriptor of the file, locked; None where another process has locked it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return None
                raise
            # A file system without locks: nobody can be kept out.
        # Who held it before may have removed the file between open and lock.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            os.truncate(descriptor, 0)
            os.write(descriptor, json.dumps(_me()).encode())
            return descriptor
        os.close(descriptor)


def _me() -> dict:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text())
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _any_process(flag: bool) -> bool:
    """Whether a flag is set on any process; all of them come here."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def check_is_run(directory: RunDirectory) -> None:
    """Refuses a directory that holds something else than a run.

    Raises:
        ValueError: files, and none of them the config of a run; or one that is damaged, or missing
            beside checkpoints.
    """
    if read_identity(directory) is None and any(directory.checkpoints.glob("*")):
        state = "damaged" if directory.config.exists() else "missing"
        raise ValueError(
            f"--out {directory.path}: its {directory.config.name} is {state}; its checkpoints hold "
            "the recipe too. The same command with --restore-config writes it anew from the newest "
            "one, and goes on; evaluation needs it not."
        )
    if read_identity(directory) is None and set(directory.path.iterdir()) - directory.leftovers():
        raise ValueError(
            f"--out {directory.path}: must be new, empty or a run directory; got files without the "
            f"{directory.config.name} of a run. Choose another --out."
        )


def read_identity(directory: RunDirectory) -> dict | None:
    """What a run directory's config.json says; None where it is no such file."""
    try:
        found = jsonable.parse(directory.config.read_bytes(), directory.config.name)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if meta.is_identity(found) else None
