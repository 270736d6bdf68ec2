"""Two shrunken steps of every shipped recipe, as numbers and digests to compare with.

    python tests/support/recorded_steps.py        records new recipes, in tests/recorded/steps.json
    python tests/support/recorded_steps.py all    records all of them anew

A change of the house must change no number: on the machine and with the versions that a recipe was
recorded on bit for bit, elsewhere up to rounding. Digests do not depend on the names or the order
of leaves, so that a state may be filed otherwise. Record anew only with a change that is meant to
change numbers.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).parent.parent / "recorded" / "steps.json"
DEVICES = (1, 8)
# Class tokens that begin alike: KoLeo's logarithm of their distances is one of rounding.
LEFT_OUT = ("dino_v2_fashion_mnist", "dino_v2_fashion_mnist_long", "dino_v3_fashion_mnist")


def machine():
    """What bits may depend on."""
    path = Path("/proc/cpuinfo")  # of the first core, down to the instructions that it has
    first = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    told = dict(map(str.strip, line.split(":", 1)) for line in first if ":" in line)
    flags = hashlib.sha256(told.get("flags", "").encode()).hexdigest()[:16]
    names = [told.get(name) for name in ("model name", "cpu family", "model", "stepping")]
    versions = {
        name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")
    }
    return {"cpu": [platform.machine(), *names, flags], **versions}


def steps_of_recipes(names, num_devices):
    """Name to loss, gradient norm and digests after two steps, in a process with fake devices."""
    flags = (
        f"--xla_force_host_platform_device_count={num_devices} --xla_backend_optimization_level=0"
    )
    child = subprocess.run(
        [sys.executable, __file__, "here", *names],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(child.stdout.splitlines()[-1])


def steps_here(names):
    """The same in this process, on one core: sums depend on how many threads share them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import tiny_runs

    with tempfile.TemporaryDirectory() as directory:
        npz = tiny_runs.write_data(Path(directory) / "tiny.npz")
        return {name: steps_of(name, npz, Path(directory) / name) for name in names}


def steps_of(name, npz, out):
    """Pretrains one recipe for two steps."""
    import jax
    import tiny_runs

    from jaxssl import cli
    from jaxssl.runs import recipe

    more = ["--training.epochs", 0.5, "--optimizer.warmup-epochs", 0, "--run.backend", "pmap"]
    encoder = recipe.load(name).encoder
    for field in ("mean", "std"):  # as shipped: those of other data would be measured
        if hasattr(encoder, field):
            more += [f"--encoder.{field}", *getattr(encoder, field)]
    assert cli.main(tiny_runs.words(name, npz, out, *more)) == 0, name
    jax.clear_caches()
    rows = tiny_runs.rows(out)
    state = leaves_of(out / "checkpoints" / "2" / "state")
    return {
        "loss": [row["loss"] for row in rows],
        "grad_norm": [row["grad_norm"] for row in rows],
        "state": digest(state),
        "num_values": sum(leaf.size for leaf in state),
    }


def leaves_of(directory):
    """The arrays of a checkpoint's item."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        return [np.asarray(leaf) for leaf in jax.tree.leaves(checkpointer.restore(directory))]


def digest(leaves):
    """SHA-256 over the sorted digests of the leaves, each of its dtype, shape and bytes."""
    each = sorted(
        hashlib.sha256(f"{leaf.dtype} {leaf.shape} ".encode() + leaf.tobytes()).hexdigest()
        for leaf in leaves
    )
    return hashlib.sha256(" ".join(each).encode()).hexdigest()


def main():
    if sys.argv[1:2] == ["here"]:
        print(json.dumps(steps_here(sys.argv[2:])))
        return
    import tiny_runs

    old = {} if sys.argv[1:] == ["all"] else json.loads(FILE.read_text())
    machines = old.get("machines", [])
    if machine() not in machines:
        machines = [*machines, machine()]
    here = {"machine": machines.index(machine())}
    record = {"machines": machines}
    for count in DEVICES:
        kept = old.get(f"{count} devices", {})
        new = [name for name in tiny_runs.NAMES if name not in (*kept, *LEFT_OUT)]
        steps = steps_of_recipes(new, count)
        record[f"{count} devices"] = kept | {name: here | steps[name] for name in new}
    FILE.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
