"""Compiled programs, kept between commands in the user's cache directory.

JAX (0.10) writes an entry of its cache in place: who reads while another process writes, or after
one was killed while it wrote, gets half of it, and JAX never writes that entry again. With a bound
on the cache's size JAX takes a lock, which holds back others but not a kill; an entry without its
time stamp then stops all writing (https://github.com/jax-ml/jax/issues/39880). So JAX is given a
directory that no other process looks at. The kept entries are in it as hard links, which JAX only
reads; when the command has ended well, the new entries are linked to the kept ones, and a link is
there whole or not at all.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from jaxssl import host_devices

OPTION = "JAXSSL_COMPILE_CACHE"  # 0 keeps nothing; else where it is kept
MAX_BYTES = 2 * 1024**3  # what was not used for longest goes first
_JAX_OPTION = "JAX_COMPILATION_CACHE_DIR"
# XLA's own caches would lie in the same directory, whose name is then a part of every entry's key.
_XLA_OPTION = "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"
_ENTRIES, _OWN = "*-cache", "running-"  # JAX's names, and ours
_MAX_DAYS = 30  # of a process; directories that are older were left behind by one that was killed


def directory() -> Path | None:
    """Where compiled programs are kept; None where they are not.

    One directory for each kind of processor: what XLA compiles for one may stop another, and a home
    directory may be seen from both. A cache that was asked of JAX itself goes before this one, and
    none where JAX is told to keep none, as ``host_devices`` tells it.
    """
    asked, of_jax = os.environ.get(OPTION, ""), os.environ.get(_JAX_OPTION, "")
    off = os.environ.get(host_devices.CACHE_OPTION, "").lower() in ("0", "false")
    if Path(of_jax).name.startswith(_OWN):  # JAX has been given it by ``kept``
        return Path(of_jax).parent
    if asked == "0" or off or of_jax:
        return None
    if asked:
        return Path(asked) / _processor()
    try:
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return usual / "jaxssl" / "compiled" / _processor()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within it JAX, imported there for the first time, finds the kept programs and adds to them.

    Raises:
        OSError: JAXSSL_COMPILE_CACHE names a directory that cannot be written to. Where the usual
            one cannot, nothing is kept.
    """
    found = directory()
    own = None if found is None else _begin(found)
    if found is None or own is None:
        yield
        return
    options = {_JAX_OPTION: str(own), _XLA_OPTION: "none"}
    before = {name: os.environ.get(name) for name in options}
    os.environ |= options
    try:
        yield
        # Not where the command failed: a full disk, or Ctrl-C, may have cut the last entry short.
        _keep(own, found)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(own, ignore_errors=True)


def size(found: Path) -> tuple[int, int]:
    """How many programs are kept in a directory, and their bytes."""
    sizes = [path.stat().st_size for path in found.glob(_ENTRIES)]
    return len(sizes), sum(sizes)


def _begin(found: Path) -> Path | None:
    """A directory for this process, with the kept entries in it."""
    try:
        # The user's alone: who writes an entry decides what this process runs.
        found.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in found.glob(f"{_OWN}*"):
            if time.time() - left.stat().st_mtime > _MAX_DAYS * 24 * 3600:
                shutil.rmtree(left, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix=_OWN, dir=found))
        _link_all(found, own)
    except OSError as error:
        if os.environ.get(OPTION):
            raise OSError(
                f"{OPTION}: must name a directory that can be written to, or be 0; got {found}: "
                f"{error.strerror}."
            ) from None
        return None
    return own


def _keep(own: Path, found: Path) -> None:
    """Adds the new entries to the kept ones, and lets the oldest go where there are too many."""
    with contextlib.suppress(OSError):  # another process may be letting go of the same ones
        _link_all(own, found)
        entries = [(path, path.stat()) for path in found.glob(_ENTRIES)]
        total = sum(stat.st_size for _, stat in entries)
        for path, stat in sorted(entries, key=lambda each: max(each[1].st_atime, each[1].st_mtime)):
            if total <= MAX_BYTES:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_size


def _link_all(source: Path, target: Path) -> None:
    for path in source.glob(_ENTRIES):
        # It is there already, or another process has just let go of it.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(path, target / path.name)


def _processor() -> str:
    """A name for the kind of processor: what programs may use of it."""
    described = platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        described += next(
            (each for each in lines if each.lower().startswith(("flags", "features"))), ""
        )
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
