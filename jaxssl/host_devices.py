"""Several devices of a CPU: threads to wait on, patience, and programs that are compiled anew."""

import os
import re
import sys

PER_DEVICE = 16
PATIENCE = 1800
CACHE_OPTION = "JAX_ENABLE_COMPILATION_CACHE"
_COUNT = r"--xla_force_host_platform_device_count=(\d+)"
_TIMEOUT = "--xla_cpu_collective_call_terminate_timeout_seconds"


def spare() -> int | None:
    """Makes ready for the fake devices that XLA_FLAGS asks for; call it before JAX's first use.

    Programs are compiled anew, see below. Few cores do the work of many devices, so that the first
    may be at an exchange long before the last: XLA aborts the process after 40 seconds, here after
    half an hour. And each device that waits at an exchange keeps a thread of the pool that all
    devices share, which is as large as their number: here it has 16 threads a device, so that a
    program of several exchanges at a time has some left to work with. Nothing is changed where the
    host has one device; a larger pool or another wait that was asked for already stands.

    Returns:
        The size of the pool, or None where the host has one device.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    found = re.findall(_COUNT, flags)
    num_devices = int(found[-1]) if found else 1
    if num_devices < 2:
        return None
    if _TIMEOUT not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_TIMEOUT}={PATIENCE}"
    asked = os.environ.get("NPROC", "")
    threads = max(PER_DEVICE * num_devices, int(asked) if asked.isdecimal() else 0)
    os.environ["NPROC"] = str(threads)
    compile_anew()
    return threads


def compile_anew() -> None:
    """From here on this process reads no program from JAX's compilation cache, and writes none.

    A program that XLA has compiled keeps its exchanges in one order on all devices of a CPU. One
    that was read from the cache does not: devices wait at different exchanges, each of which keeps
    a thread, until none is left; and under ``shard_map`` all exchanges have one name, so that those
    of two are taken for one. The process hangs, or aborts with "Id can't be larger than the number
    of participating threads". A step of DINOv3 on eight devices did so within a hundred steps of
    each start, with jax 0.10.2 and 0.12.0; compiled anew it ran 4,000, on eight threads too.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        os.environ[CACHE_OPTION] = "false"
        return
    if jax.config.jax_enable_compilation_cache:
        from jax.experimental.compilation_cache import compilation_cache  # not above: imports JAX

        jax.config.update("jax_enable_compilation_cache", False)
        compilation_cache.reset_cache()  # JAX asks whether there is one once, at its first program
