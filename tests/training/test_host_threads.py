"""A larger pool of threads for fake devices: asked for where there are several; XLA takes it."""

import os
import subprocess
import sys

import pytest

from jaxssl.training import host_threads

FLAG = "--xla_force_host_platform_device_count"
TIMEOUT = "--xla_cpu_collective_call_terminate_timeout_seconds"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(f"{FLAG}=8", 128), (f"--xla_a=1 {FLAG}=8 {FLAG}=2", 32), (f"{FLAG}=1", None), ("", None)],
)
def test_the_pool_grows_with_the_devices(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.delenv("NPROC", raising=False)
    assert host_threads.spare() == expected
    assert os.environ.get("NPROC") == (None if expected is None else str(expected))
    waits = f" {TIMEOUT}=1800"
    assert os.environ["XLA_FLAGS"] == flags + ("" if expected is None else waits)


@pytest.mark.parametrize(
    ("asked", "got"), [("2", "128"), ("200", "200"), ("", "128"), ("many", "128")]
)
def test_a_larger_pool_stands_and_a_wait_of_any_length(monkeypatch, asked, got):
    """Some set the variable to the number of cores, for compilers: XLA would take it too."""
    flags = f"{TIMEOUT}=9 {FLAG}=8"
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setenv("NPROC", asked)
    assert host_threads.spare() == int(got)
    assert os.environ["NPROC"] == got
    assert os.environ["XLA_FLAGS"] == flags


def test_xla_makes_as_many_threads():
    program = (
        "import os; from jaxssl.training import host_threads; asked = host_threads.spare();"
        "import jax; jax.devices();"
        "print(asked, len(os.listdir('/proc/self/task')) >= asked)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"XLA_FLAGS": f"{FLAG}=4"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("64 True\n", 0), done.stderr
