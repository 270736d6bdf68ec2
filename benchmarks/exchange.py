"""What the devices of a run exchange in a step, and whether its work is divided among them.

    python benchmarks/exchange.py                      several methods, eight fake devices
    python benchmarks/exchange.py --recipes NAME …     others

Nothing is run. A step is compiled as ``jit`` and as ``shard_map`` make it. Counted are the results
of its collective operations in bytes, and the operations of all devices over those of the step on
one: 1.0 where the work is divided and nothing done twice. The forms of products are those of
accelerators; some of a CPU are others, for which more is gathered.
"""

import argparse
import math
import os
import re

RECIPES = (
    "simclr_fashion_mnist", "byol_fashion_mnist", "moco_v2_fashion_mnist", "swav_fashion_mnist",
    "dino_fashion_mnist", "dino_v2_fashion_mnist", "mae_fashion_mnist", "data2vec_v2_fashion_mnist",
    "rotation_fashion_mnist",
)  # fmt: skip
COLLECTIVE = re.compile(
    r"= (.*?) (?:all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)
TENSOR = re.compile(r"([a-z]+)(\d+)?\[([\d,]*)\]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--devices", type=int, default=8)
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 "
        f"--xla_force_host_platform_device_count={options.devices}"
    )
    from jax import lax

    # Layers with forms of their own for CPUs take those of all other platforms.
    lax.platform_dependent = lambda *args, default, **forms: default(*args)
    print("| step | gradients, MB | exchanged under jit | shard_map | work under jit | shard_map |")
    print("|---|---|---|---|---|---|")
    for name in options.recipes:
        show(name, options.batch_size, options.devices)


def show(name, batch_size, num_devices):
    # Only now: XLA_FLAGS are read when JAX begins.
    import jax
    import memory

    exchanged, work, whole = [], [], math.nan
    for backend in ("jit", "shard_map"):
        job = memory.job_of(name, batch_size, backend=backend)
        lowered = job.lowered()
        # Under jit the program is still that of one device; the compiler divides it.
        if backend == "jit":
            whole = lowered.cost_analysis()["flops"]
        program = lowered.compile()
        exchanged.append(sum(map(num_bytes, COLLECTIVE.findall(program.as_text()))) / 1e6)
        work.append(program.cost_analysis()["flops"] * num_devices / whole)
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(job.like.params))
    cells = (4 * parameters / 1e6, *exchanged, *work)
    print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)


def num_bytes(result):
    """Of what a collective gives, as the text of a program writes its type."""
    return sum(
        math.prod(int(size) for size in shape.split(",") if size) * (int(bits or 8) // 8)
        for _, bits, shape in TENSOR.findall(result)
    )


if __name__ == "__main__":
    main()
