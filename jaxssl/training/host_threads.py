"""Threads enough for the fake devices of a CPU, which wait for each other on one pool of them."""

import os
import re

PER_DEVICE = 16


def spare() -> int | None:
    """Asks XLA for a larger pool; call it before JAX's first use of a device.

    A program over several devices may have several exchanges under way at once, each of which keeps
    a thread of the pool on every device until all devices have come to it. The devices of a host
    share a pool that is no larger than their number: once all its threads wait, each for another
    exchange, nothing moves, and XLA aborts the process after 40 seconds. Nothing is changed where
    the host has one device or the variable, which XLA's CPU client reads, is set already.

    Returns:
        The size that was asked for, or None.
    """
    found = re.findall(
        r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", "")
    )
    num_devices = int(found[-1]) if found else 1
    if num_devices < 2 or "NPROC" in os.environ:
        return None
    os.environ["NPROC"] = str(PER_DEVICE * num_devices)
    return PER_DEVICE * num_devices
