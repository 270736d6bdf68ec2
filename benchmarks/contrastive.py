"""NT-Xent and InfoNCE, forward and backward: our dense and tiled forms beside optax.losses.ntxent.

    python benchmarks/contrastive.py                              # a minute or two on two cores
    python benchmarks/contrastive.py --large --block-size 256     # 65,536 pairs in one step
    python benchmarks/contrastive.py --ring 2 --pairs 4096 16384  # between devices

Every round runs each form once, in turn and starting with another one each round, so that a busy
machine and the caches treat all of them alike. The figures are the median [fastest .. slowest]
over rounds and the ratio of medians to the dense form of the same loss. Memory is XLA's own count
of temporary bytes of the compiled program; ``--large`` reports the peak resident memory of the
whole process beside it. ``--ring`` divides the rows among that many fake devices, which share the
cores that one device has to itself in the other form: the same work, and what the exchange adds.
"""

import argparse
import functools
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxssl import losses, parallel

LARGE_PAIRS = 65_536


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[256, 512, 1024, 4096])
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--block-size", type=int, default=512, help="rows in one strip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=0.1)
    parser.add_argument(
        "--optax-up-to", type=int, default=512, help="pairs; its memory grows as pairs² x features"
    )
    parser.add_argument("--large", action="store_true", help=f"only {LARGE_PAIRS:,} pairs, tiled")
    parser.add_argument("--ring", type=int, help="devices; only NT-Xent of one and of so many")
    options = parser.parse_args()
    if options.ring:
        count = f"--xla_force_host_platform_device_count={options.ring}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {count}"
    print(
        f"jax {jax.__version__}, optax {optax.__version__}, python {platform.python_version()}, "
        f"{jax.devices()[0].device_kind} x {jax.device_count()}, "
        f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, float32, "
        f"D = {options.features}, T = {options.temperature}, block_size = {options.block_size}"
    )
    if options.large:
        large(options)
        return
    for pairs in options.pairs:
        (compare_ring if options.ring else compare)(pairs, options)


def compare(pairs: int, options: argparse.Namespace) -> None:
    """Times all forms at one size and prints a line for each."""
    views = random_views(pairs, options.features)
    forms = {
        "nt_xent dense": losses.nt_xent,
        "nt_xent tiled": functools.partial(losses.nt_xent, block_size=options.block_size),
        "info_nce dense": losses.info_nce,
        "info_nce tiled": functools.partial(losses.info_nce, block_size=options.block_size),
    }
    if pairs <= options.optax_up_to:
        forms["optax ntxent"] = optax_ntxent
    steps = {
        name: compiled_step(functools.partial(form, temperature=options.temperature), views)
        for name, form in forms.items()
    }
    print(f"\n{pairs:,} pairs, forward + backward")
    show(steps, dict.fromkeys(steps, views), options.rounds)


def compare_ring(pairs: int, options: argparse.Namespace) -> None:
    """Times the tiled form on one device and with its rows divided among several."""
    form = functools.partial(
        losses.nt_xent, temperature=options.temperature, block_size=options.block_size
    )
    steps, views = {}, {}
    for devices in (1, options.ring):
        mesh = parallel.mesh(devices=jax.devices()[:devices])
        rows = jax.sharding.NamedSharding(mesh, jax.P(parallel.AXIS))
        name = "one device" if devices == 1 else f"ring of {devices}"
        views[name] = jax.device_put(random_views(pairs, options.features), rows)
        steps[name] = compiled_step(form, views[name])
    print(f"\n{pairs:,} pairs, nt_xent tiled, forward + backward")
    show(steps, views, options.rounds)


def show(steps: dict, views: dict, rounds: int) -> None:
    """Times compiled steps in turn and prints a line for each, as ratios to the first of its loss.

    Args:
        steps: by name, "info_nce ..." apart from the others.
        views: what each is given.
        rounds: that are measured, after one that is not.
    """
    seconds = {name: [] for name in steps}
    for name, step in steps.items():
        jax.block_until_ready(step(*views[name]))
    names = list(steps)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            jax.block_until_ready(steps[name](*views[name]))
            seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        median = statistics.median(times)
        reference = "info_nce dense" if name.startswith("info_nce") else names[0]
        ratio = median / statistics.median(seconds[reference])
        memory = steps[name].memory_analysis().temp_size_in_bytes
        print(
            f"  {name:15} {1e3 * median:9.1f} ms [{1e3 * min(times):.1f} .. {1e3 * max(times):.1f}]"
            f"  {ratio:7.2f} x {reference}  {memory / 1e6:8.1f} MB"
        )


def large(options: argparse.Namespace) -> None:
    """One cold step of the tiled form at a size whose dense logits would take 69 GB."""
    views = random_views(LARGE_PAIRS, options.features)
    form = functools.partial(
        losses.nt_xent, temperature=options.temperature, block_size=options.block_size
    )
    compiled = compiled_step(form, views)
    start = time.perf_counter()
    value, _ = jax.block_until_ready(compiled(*views))
    seconds = time.perf_counter() - start
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    print(
        f"\n{LARGE_PAIRS:,} pairs, nt_xent tiled, forward + backward: {seconds:.1f} s, "
        f"loss {value:.4f}, peak resident memory {peak_bytes / 1e9:.2f} GB, temporary "
        f"{compiled.memory_analysis().temp_size_in_bytes / 1e6:.0f} MB"
    )


def random_views(pairs: int, features: int) -> tuple[jax.Array, jax.Array]:
    view_a, view_b = jax.random.normal(jax.random.key(0), (2, pairs, features))
    return view_a, view_b


def compiled_step(loss: Callable, views: tuple[jax.Array, jax.Array]) -> jax.stages.Compiled:
    def mean(view_a: jax.Array, view_b: jax.Array) -> jax.Array:
        return jnp.mean(loss(view_a, view_b))

    return jax.jit(jax.value_and_grad(mean, argnums=(0, 1))).lower(*views).compile()


def optax_ntxent(view_a: jax.Array, view_b: jax.Array, *, temperature: float) -> jax.Array:
    labels = jnp.tile(jnp.arange(view_a.shape[0]), 2)
    return optax.losses.ntxent(jnp.concatenate([view_a, view_b]), labels, temperature)


if __name__ == "__main__":
    main()
