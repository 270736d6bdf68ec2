"""The allocator setting: made on glibc, left alone elsewhere and when asked to."""

import os
import platform
import subprocess
import sys

import pytest

from jaxssl.training import allocator

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@glibc
def test_tune_on_glibc():
    # In a process of its own: the setting holds for the rest of it.
    program = "from jaxssl.training import allocator; print(allocator.tune())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={name: value for name, value in os.environ.items() if name != "JAXSSL_CPU_TUNE"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(("setting", "libc"), [("0", "glibc"), ("1", "musl"), ("1", "")])
def test_left_alone(monkeypatch, setting, libc):
    monkeypatch.setenv("JAXSSL_CPU_TUNE", setting)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr("ctypes.CDLL", None)  # calling it would fail
    assert allocator.tune() is False
