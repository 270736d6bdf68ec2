"""Threads and patience for the fake devices of a CPU, which wait for each other on one pool."""

import os
import re

PER_DEVICE = 16
PATIENCE = 1800
_COUNT = r"--xla_force_host_platform_device_count=(\d+)"
_TIMEOUT = "--xla_cpu_collective_call_terminate_timeout_seconds"


def spare() -> int | None:
    """Asks XLA for a larger pool and a longer wait; call it before JAX's first use of a device.

    A program over several devices may have several exchanges under way at once, each of which keeps
    a thread of the pool on every device until all devices have come to it. The devices of a host
    share a pool that is no larger than their number: once all its threads wait, each for another
    exchange, nothing moves. And few cores do the work of many devices, so that the first may be at
    an exchange long before the last. XLA aborts the process after 40 seconds of either; here it
    waits half an hour. Nothing is changed where the host has one device; a longer pool or another
    wait that was asked for already stands.

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
    return threads
