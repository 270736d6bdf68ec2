"""Eight fake CPU devices, fast compiles, strict promotion; set before JAX touches a device."""

import os
import signal
import tempfile

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    + os.environ.get("XLA_FLAGS", "")
)
os.environ["JAX_PLATFORMS"] = "cpu"
# For commands on one device; several compile anew. JAX's cache is not made for sharing: an entry
# that another process is writing aborts the reader.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(
        tempfile.gettempdir(),
        "jaxssl-test-compile-cache",
        os.environ.get("PYTEST_XDIST_WORKER", "main"),
    ),
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import pytest

from jaxssl import host_devices

host_devices.spare()  # before the first device

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# What a shell starts in the background ignores Ctrl-C, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """What is exhaustive in one respect is not among the slow tests for another."""
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "slow"]


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """Each keeps some thirty maps of memory, of which Linux allows a process 65,530."""
    yield
    jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def standard_promotion():
    """For tests that run optax, which relies on implicit promotion in its bias correction."""
    with jax.numpy_dtype_promotion("standard"):
        yield
