"""A larger pool of threads for fake devices: asked for where there are several; XLA takes it."""

import os
import subprocess
import sys

import pytest

from jaxssl.training import host_threads

FLAG = "--xla_force_host_platform_device_count"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(f"{FLAG}=8", 128), (f"--xla_a=1 {FLAG}=8 {FLAG}=2", 32), (f"{FLAG}=1", None), ("", None)],
)
def test_the_pool_grows_with_the_devices(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.delenv("NPROC", raising=False)
    assert host_threads.spare() == expected
    assert os.environ.get("NPROC") == (None if expected is None else str(expected))


def test_a_chosen_size_stands(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"{FLAG}=8")
    monkeypatch.setenv("NPROC", "9")
    assert host_threads.spare() is None
    assert os.environ["NPROC"] == "9"


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
