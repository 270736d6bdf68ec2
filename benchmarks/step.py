"""Images a second of a training step, for every shipped recipe, on the devices that are here.

Command: python benchmarks/step.py

Prints median and spread over steps that were run in turn, the floating-point rate, the memory XLA
takes for temporaries, and the share of the augmentation, measured alone.
"""

import argparse
import importlib.metadata
import os
import statistics
import time

import jax
import numpy as np

from jaxssl import data, draws, parallel
from jaxssl.runs import pretrain, recipe
from jaxssl.training import allocator, flops, optimizers
from jaxssl.training import step as training_step
from jaxssl.types import Plan

RECIPES = ("simclr_fashion_mnist", "mae_fashion_mnist", "rotation_fashion_mnist")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    tuned = allocator.tune()
    packages = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("jax", "flax", "optax"))
    print(
        f"{packages}; {jax.device_count()} {jax.devices()[0].device_kind} device(s), "
        f"{len(os.sched_getaffinity(0))} cores, allocator tuned: {tuned}; batch "
        f"{options.batch_size}, {options.rounds} rounds; median [lowest..highest]"
    )
    contestants = {name: prepare(name, options.batch_size) for name in options.recipes}
    times = {name: [] for name in contestants}
    view_times = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, (step, views, _) in contestants.items():
            times[name].append(step())
            view_times[name].append(views())
    print("| recipe | images/s | GFLOP/s | temporaries, MB | augmentation alone, images/s |")
    print("|---|---|---|---|---|")
    for name, (_, _, (work, memory)) in contestants.items():
        rates = [options.batch_size / t for t in times[name]]
        views = [options.batch_size / t for t in view_times[name]]
        rate = work / statistics.median(times[name]) / 1e9
        print(f"| {name} | {spread(rates)} | {rate:.0f} | {memory / 1e6:.0f} | {spread(views)} |")


def prepare(name, batch_size):
    """Two callables that run a step or its views once and return the seconds; FLOPs and bytes."""
    config = recipe.load(name)
    shape = (batch_size, config.data.image_size, config.data.image_size, config.data.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    batch = {"image": images, "index": np.arange(batch_size, dtype=np.int32)}
    method = pretrain.prepare(config.method, data.from_arrays(images)).build(
        config.encoder.build(axis_name=parallel.AXIS), axis_name=parallel.AXIS
    )
    optimizer = optimizers.build(
        config.optimizer, Plan(batch_size, 100, 1000, freezes=method.frozen is not None)
    )
    state = parallel.replicate(
        jax.jit(lambda: training_step.init_state(method, optimizer, batch, seed=0))()
    )
    step = training_step.make_step(method, optimizer, seed=0, axis_name=parallel.AXIS)
    mapped = parallel.map_shards(step, axis_name=parallel.AXIS)
    work = flops.count(mapped, state, batch)
    compiled = jax.jit(mapped, donate_argnums=0).lower(state, batch).compile()
    keys = draws.example_keys(0, state.step, batch_size, None)
    views = jax.jit(lambda batch, keys: draws.make_views(method, batch, keys))
    jax.block_until_ready(views(batch, keys))

    def run_step():
        nonlocal state
        start = time.perf_counter()
        state, metrics = compiled(state, jax.device_put(batch, rows))
        jax.block_until_ready(metrics)
        return time.perf_counter() - start

    def run_views():
        start = time.perf_counter()
        jax.block_until_ready(views(batch, keys))
        return time.perf_counter() - start

    rows = jax.sharding.NamedSharding(parallel.mesh(axis_name=parallel.AXIS), jax.P(parallel.AXIS))
    run_step()
    return run_step, run_views, (work, compiled.memory_analysis().temp_size_in_bytes)


def spread(values):
    return f"{statistics.median(values):,.0f} [{min(values):,.0f}..{max(values):,.0f}]"


if __name__ == "__main__":
    main()
