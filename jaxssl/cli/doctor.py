"""``doctor``: versions, devices, memory, caches, data and extras that are found here."""

import dataclasses
import os
import platform
import re
from collections.abc import Iterator, Sequence
from importlib import metadata

import jax

import jaxssl
from jaxssl.cli import arguments, compile_cache
from jaxssl.data import known

DEVELOPERS = ("dev", "docs", "peers", "test")  # extras of a checkout
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Prints what jaxssl finds on this machine, and how to get what is missing."""


def run(words: Sequence[str]) -> None:
    """``jaxssl doctor``."""
    arguments.parse(Doctor, words, prog="jaxssl doctor")
    for title, lines in (
        ("versions", _versions()),
        ("devices", _devices()),
        ("memory", _memory()),
        ("compiled programs", _compiled()),
        ("data", _data()),
        ("extras", _extras()),
    ):
        for number, line in enumerate(lines):
            print(f"{title if number == 0 else '':<19}{line}")


def _versions() -> Iterator[str]:
    yield f"jaxssl {jaxssl.__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)


def _devices() -> Iterator[str]:
    for device in jax.local_devices():
        # None of a CPU's device, which has the memory of the machine.
        limit = (device.memory_stats() or {}).get("bytes_limit")
        yield f"{device.platform} {device.id}: {device.device_kind}" + (
            f", {_gigabytes(limit)}" if limit else ""
        )
    if jax.default_backend() == "cpu":
        yield 'CPU only; for NVIDIA GPUs: pip install -U "jax[cuda13]"'


def _memory() -> Iterator[str]:
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = (page * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    yield f"{_gigabytes(total)}, {_gigabytes(free)} of it unused; {os.cpu_count()} processors"


def _compiled() -> Iterator[str]:
    found = compile_cache.directory()
    if found is None:
        yield (
            f"not kept by jaxssl: {compile_cache.OPTION} is 0, JAX has a cache of its own, or the "
            "host has several devices"
        )
        return
    count, size = compile_cache.size(found)
    yield f"{found}: {count} programs, {_gigabytes(size)}"


def _data() -> Iterator[str]:
    places = [place for place in known.fashion_mnist_places() if place.is_dir()]
    if places:
        yield f"fashion-mnist: {places[0]}"
    else:
        yield "fashion-mnist: missing; python -m jaxssl.data.fetch"
    yield f"fetched data sets go to {known.cache_directory()}"


def _extras() -> Iterator[str]:
    """Each extra of the installed package: there, or the command that brings it."""
    wanted: dict[str, dict[str, None]] = {}  # their names in order, each once
    try:
        requirements = metadata.requires(jaxssl.__name__) or ()
    except metadata.PackageNotFoundError:
        yield "unknown, since jaxssl itself is not installed; pip install -e . in its directory"
        return
    for requirement in requirements:
        name, extra = (
            re.search(pattern, requirement) for pattern in (r"^[\w.-]+", r"extra == .(\w+)")
        )
        if name and extra and extra[1] not in DEVELOPERS:
            wanted.setdefault(extra[1], {})[name[0]] = None
    for extra_name, names in wanted.items():
        missing = [each for each in names if not _is_installed(each)]
        if missing:
            yield f'{extra_name}: missing {", ".join(missing)}; pip install "jaxssl[{extra_name}]"'
        else:
            yield f"{extra_name}: {', '.join(f'{name} {metadata.version(name)}' for name in names)}"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
