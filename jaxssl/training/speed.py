"""What a step makes use of: the arithmetic that its devices can do, and their memory."""

import jax

# Dense matrix products in bfloat16 (float16 where there is none), 10^12 operations a second, by a
# part of what JAX calls the device, as their makers state them; the first that fits. A device of
# JAX is one of the two cores of TPU v2 and v3, and a chip of the later ones.
_TERAFLOPS = (
    ("b200", 2250.0),
    ("h200", 989.0),
    ("h100 pcie", 756.0),
    ("h100", 989.0),
    ("a100", 312.0),
    ("l40s", 362.0),
    ("l4", 121.0),
    ("a10", 125.0),
    ("v100", 125.0),
    ("t4", 65.0),
    ("rtx 4090", 165.0),
    ("tpu v6", 918.0),
    ("tpu v5 lite", 197.0),
    ("tpu v5", 459.0),
    ("tpu v4", 275.0),
    ("tpu v3", 61.5),
    ("tpu v2", 22.5),
)


def peak_flops(teraflops: float | None = None) -> float | None:
    """Operations a second of all devices together, at most.

    Args:
        teraflops: of one device, 10^12; by default what its maker states.

    Returns:
        None where nothing is stated of such a device, as of a CPU.
    """
    if teraflops is None:
        kind = jax.devices()[0].device_kind.lower()
        teraflops = next((most for part, most in _TERAFLOPS if part in kind), None)
    return None if teraflops is None else 1e12 * teraflops * jax.device_count()


def peak_memory_gb() -> float | None:
    """The most that any device of this process has held so far, 10^9 bytes.

    Returns:
        None where devices do not say, as a CPU does not.
    """
    said = [device.memory_stats() or {} for device in jax.local_devices()]
    held = [each["peak_bytes_in_use"] for each in said if "peak_bytes_in_use" in each]
    return max(held) / 1e9 if len(held) == len(said) else None
