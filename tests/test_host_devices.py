"""Fake devices get a larger pool of threads, which XLA takes, and programs compiled anew."""

import os
import subprocess
import sys

import pytest

from jaxssl import host_devices

FLAG = "--xla_force_host_platform_device_count"
TIMEOUT = "--xla_cpu_collective_call_terminate_timeout_seconds"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(f"{FLAG}=8", 128), (f"--xla_a=1 {FLAG}=8 {FLAG}=2", 32), (f"{FLAG}=1", None), ("", None)],
)
def test_the_pool_grows_with_the_devices(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.delenv("NPROC", raising=False)
    assert host_devices.spare() == expected
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
    assert host_devices.spare() == int(got)
    assert os.environ["NPROC"] == got
    assert os.environ["XLA_FLAGS"] == flags


def test_xla_makes_as_many_threads():
    program = (
        "import os; from jaxssl import host_devices; asked = host_devices.spare();"
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


BEFORE_JAX = """
from jaxssl import host_devices
host_devices.spare()
import jax
double()
"""
AFTER_JAX = """
import jax
double()
from jaxssl import host_devices
host_devices.spare()
triple()
"""
BY_A_MESH = """
import jax
double()
from jaxssl import parallel
parallel.mesh()
triple()
"""
ONE_DEVICE = """
import jax
double()
from jaxssl import host_devices, parallel
host_devices.spare()
parallel.mesh(devices=jax.devices()[:1])
triple()
"""


@pytest.mark.parametrize(
    ("program", "devices", "kept"),
    [
        pytest.param(BEFORE_JAX, 2, set(), id="before-jax"),
        pytest.param(AFTER_JAX, 2, {"double"}, id="after-jax"),
        pytest.param(BY_A_MESH, 2, {"double"}, id="by-a-mesh"),
        pytest.param(ONE_DEVICE, 1, {"double", "triple"}, id="one-device"),
    ],
)
def test_several_devices_of_a_cpu_keep_no_program(tmp_path, program, devices, kept):
    """Nor do they read one: JAX asks for both in one place."""
    functions = "".join(
        f"def {name}():\n    def {name}(x): return x * 2\n    jax.jit({name})(1.0)\n"
        for name in ("double", "triple")
    )
    environment = os.environ | {
        "XLA_FLAGS": f"{FLAG}={devices}",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
    }
    environment.pop(host_devices.CACHE_OPTION, None)
    subprocess.run([sys.executable, "-c", functions + program], env=environment, check=True)
    found = {path.name for path in tmp_path.iterdir()}
    names = {each for each in ("double", "triple") if any(f"jit_{each}-" in n for n in found)}
    assert names == kept, found
