"""The allocator setting: made on glibc, left alone elsewhere and when asked to."""

import os
import platform
import subprocess
import sys

import pytest

from jaxssl import cpu

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@glibc
def test_tune_on_glibc():
    # In a process of its own: the setting holds for the rest of it.
    program = "from jaxssl import cpu; print(cpu.tune())"
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
    assert cpu.tune() is False
