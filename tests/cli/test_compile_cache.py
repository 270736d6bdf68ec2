"""Programs compiled by one command are found by the next, whoever else is at work or was killed."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxssl import host_devices
from jaxssl.cli import compile_cache

PROGRAM = """
import collections, sys
from jaxssl.cli import compile_cache
with compile_cache.kept():
    import jax
    events = collections.Counter()
    jax.monitoring.register_event_listener(lambda name, **_: events.update([name]))
    jax.jit(lambda x: x * 2 + 1)(3.0)
print(events["/jax/compilation_cache/cache_hits"], events["/jax/compilation_cache/cache_misses"])
"""


@pytest.fixture
def found(tmp_path, monkeypatch):
    """The directory of this processor's programs, in a user's cache directory that is new."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.delenv(compile_cache.OPTION, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = compile_cache.directory()
    assert found.parent == tmp_path / "jaxssl" / "compiled"
    return found


@contextlib.contextmanager
def command():
    """Another process's: it knows nothing of the cache that this one has been given."""
    with pytest.MonkeyPatch.context() as outside:
        outside.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        with compile_cache.kept():
            yield Path(os.environ["JAX_COMPILATION_CACHE_DIR"])


def write(own, name, content=b"program"):
    """An entry, as JAX writes it: not where there is one."""
    if not (own / f"{name}-cache").exists():
        (own / f"{name}-cache").write_bytes(content)


def test_jax_finds_what_another_process_compiled(found):
    def counts():
        words = [sys.executable, "-W", "error", "-c", PROGRAM]
        return subprocess.run(words, capture_output=True, text=True, check=True)

    first, second = counts(), counts()
    assert (first.stdout, second.stdout) == ("0 1\n", "1 0\n")
    assert first.stderr == second.stderr == ""
    assert compile_cache.size(found)[0] == len(list(found.iterdir())) == 1


def test_nobody_sees_an_entry_before_its_command_has_ended(found):
    with command() as one:
        write(one, "a")
        with command() as other:
            assert list(other.iterdir()) == []
            write(other, "a", b"as good")
            write(other, "b")
    with command() as later:
        assert {path.name: path.read_bytes() for path in later.iterdir()} == {
            "a-cache": b"as good",  # who ends first
            "b-cache": b"program",
        }
    assert compile_cache.size(found) == (2, 14)
    assert {path.name for path in found.iterdir()} == {"a-cache", "b-cache"}


def test_a_command_knows_where_its_programs_are_kept(found):
    with compile_cache.kept():
        assert compile_cache.directory() == found
    assert compile_cache.directory() == found


def test_a_command_that_fails_keeps_nothing(found):
    with pytest.raises(KeyboardInterrupt), command() as own:
        write(own, "half")
        raise KeyboardInterrupt
    assert list(found.iterdir()) == []


def test_what_killed_processes_left_goes_in_time(found):
    with command():
        pass
    left = [found / "running-old", found / "running-new"]
    for path in left:
        path.mkdir()
    os.utime(left[0], (0, time.time() - 31 * 24 * 3600))
    with command():
        assert not left[0].exists()
    assert left[1].exists()


def test_what_was_not_used_for_longest_goes_first(found, monkeypatch):
    monkeypatch.setattr(compile_cache, "MAX_BYTES", 20)
    with command() as own:
        for day, name in enumerate("abc"):
            write(own, name)
            os.utime(own / f"{name}-cache", (day, day))
    assert {path.name for path in found.iterdir()} == {"b-cache", "c-cache"}


def test_none_is_kept_where_that_is_asked_for_or_jax_has_its_own(found, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    with compile_cache.kept():
        assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    for option, no in ((compile_cache.OPTION, "0"), (host_devices.CACHE_OPTION, "false")):
        with monkeypatch.context() as asked:
            asked.setenv(option, no)
            with compile_cache.kept():
                assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert not found.exists()


def test_a_directory_that_cannot_be_written_to(found, tmp_path, monkeypatch):
    (tmp_path / "jaxssl").write_text("a file")
    with compile_cache.kept():  # the usual one: nothing is kept
        assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    monkeypatch.setenv(compile_cache.OPTION, str(tmp_path / "jaxssl"))
    text = f"^JAXSSL_COMPILE_CACHE: must name a directory .* got {tmp_path}/jaxssl/.*: Not a dir"
    with pytest.raises(OSError, match=text), compile_cache.kept():
        pass
