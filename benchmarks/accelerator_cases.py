"""What accelerator.py measures, a function for each kind of case; JAX is imported by those alone.

Every function gives a dict of numbers in seconds, bytes / 10^9, operations and images a second, or
of the reason why there are none, "left_out".
"""

import dataclasses
import functools
import os
import statistics
import time

# Case to the seconds that it may take, in the order that they are measured in.
CASES = {
    "rate": 40,
    "mae_b16": 120,
    "torch_mae_b16": 120,
    "dino_s16": 150,
    "simclr_r50": 120,
    "nt_xent_65536": 60,
    "mae_l16": 150,
    "torch_mae_l16": 150,
    "nt_xent_1048576": 120,
}
BATCHES = {"mae_b16": 256, "mae_l16": 128, "dino_s16": 64, "simclr_r50": 256}
SECONDS = 5.0  # that a call is repeated for, once it is warm
MASK_RATIO, DECODER = 0.75, (512, 8, 16)  # of the published MAE: width, blocks, heads


def measure(case, folder, *, tiny):
    """The numbers of a case.

    Args:
        case: of ``CASES``.
        folder: of JPEGs.
        tiny: whether networks, batches and sizes are tiny.
    """
    if case == "rate":
        return rate(256 if tiny else 8192, tiny=tiny)
    if case in BATCHES:
        return step(case, folder, tiny=tiny)
    name, _, which = case.rpartition("_")
    if name == "nt_xent":
        return nt_xent(int(which) // 512 if tiny else int(which), tiny=tiny)
    return torch_mae(which[0].upper(), BATCHES[case.removeprefix("torch_")], tiny=tiny)


def rate(side, *, tiny):
    """Operations a second of bfloat16 matrix products, and what the maker states."""
    import jax
    import jax.numpy as jnp

    from jaxssl.training import speed

    num_products = 10
    a, b = jax.random.normal(jax.random.key(0), (2, side, side)).astype(jnp.bfloat16)

    @jax.jit
    def chain(a, b):
        for _ in range(num_products):
            a = (a @ b) * side**-0.5
        return a

    seconds = seconds_a_call(lambda: chain(a, b), jax.block_until_ready, tiny=tiny)
    return {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "measured": 2 * side**3 * num_products / seconds,
        "stated": speed.peak_flops(),
    }


def step(case, folder, *, tiny):
    """A training step of jaxssl: on a batch that lies on the device, from JPEGs, views alone."""
    import jax

    from jaxssl import data, draws
    from jaxssl.runs import pretrain
    from jaxssl.training import memory, speed

    if jax.device_count() != 1:
        return {"left_out": f"one device is measured, here are {jax.device_count()}"}
    recipe = recipe_of(case, folder, tiny=tiny)
    batch_size, num_threads = recipe.training.batch_size, recipe.data.num_threads
    source = recipe.data.open("all")
    with data.Loader(source, batch_size=batch_size, seed=0, num_threads=num_threads) as loader:
        job = pretrain.build(recipe, source, loader)
        state, batch = job.begin(), jax.device_put(loader.batch(0))
        start = time.perf_counter()
        compiled = jax.jit(job.step, donate_argnums=0).lower(state, batch).compile()
        compile_seconds = time.perf_counter() - start
        number = 0

        def from_device():
            nonlocal state
            state, metrics = compiled(state, batch)
            return metrics

        def from_jpegs():
            nonlocal state, number
            number += 1
            state, metrics = compiled(state, jax.device_put(loader.batch(number)))
            return metrics

        seconds, from_files = (
            seconds_a_call(call, jax.block_until_ready, tiny=tiny)
            for call in (from_device, from_jpegs)
        )
        peak_gb = speed.peak_memory_gb()
        keys = draws.example_keys(0, state.step, batch_size, None)
        views = jax.jit(lambda batch, keys: draws.make_views(job.method, batch, keys))
        augmented = seconds_a_call(lambda: views(batch, keys), jax.block_until_ready, tiny=tiny)
        return {
            "batch": batch_size,
            "images_per_second": batch_size / seconds,
            "jpegs_per_second": batch_size / from_files,
            "augmented_per_second": batch_size / augmented,
            "flop_per_image": job.work / batch_size,
            "compile_seconds": compile_seconds,
            "peak_gb": peak_gb,
            "planned_gb": memory.footprint(job).total / memory.GB,
        }


def recipe_of(case, folder, *, tiny):
    """The shipped recipe of photos, with the network and the batch of the case."""
    from jaxssl.runs import recipe

    found = recipe.load(f"photos_{case.partition('_')[0]}")
    found = dataclasses.replace(
        found,
        encoder=encoder_of(case, found.encoder, tiny=tiny),
        data=dataclasses.replace(
            found.data,
            path=folder,
            image_size=32 if tiny else 224,
            train_split="all",
            num_threads=len(os.sched_getaffinity(0)),
        ),
        training=dataclasses.replace(
            found.training, batch_size=4 if tiny else BATCHES[case], epochs=1000
        ),
        run=dataclasses.replace(found.run, backend="jit"),
    )
    return dataclasses.replace(found, method=shrunken(found.method)) if tiny else found


def encoder_of(case, encoder, *, tiny):
    """The encoder of a case, in bfloat16."""
    encoder = dataclasses.replace(encoder, dtype="bfloat16")
    if tiny and case == "simclr_r50":
        return dataclasses.replace(encoder, depth=10, width_multiplier=0.125, num_stages=1)
    if tiny:
        return dataclasses.replace(
            encoder, size="Nano", width=32, depth=1, num_heads=2, patch_size=8
        )
    sizes = {"mae_b16": "B", "mae_l16": "L"}
    return dataclasses.replace(encoder, size=sizes[case]) if case in sizes else encoder


def shrunken(method):
    """A method with small views and heads."""
    from jaxssl.augment import policies
    from jaxssl.methods.dino import DINO
    from jaxssl.methods.mae import MAE

    if isinstance(method, MAE):
        return dataclasses.replace(
            method, augment=policies.mae(32), decoder_width=32, decoder_depth=1, decoder_heads=2
        )
    if isinstance(method, DINO):
        return dataclasses.replace(
            method,
            augment=policies.dino(32, local_size=16, num_local=2),
            num_prototypes=64,
            projector_width=32,
            projector_dim=16,
        )
    return dataclasses.replace(
        method, augment=policies.simclr(32), projector_width=32, projector_dim=16
    )


def nt_xent(pairs, *, tiny):
    """Value and gradient of NT-Xent in tiles; one warm run."""
    import contrastive
    import jax

    from jaxssl import losses
    from jaxssl.training import speed

    block_size = 64 if tiny else 1024
    loss = functools.partial(losses.nt_xent, temperature=0.1, block_size=block_size)
    views = contrastive.random_views(pairs, 128)
    start = time.perf_counter()
    compiled = contrastive.compiled_step(loss, views)
    compile_seconds = time.perf_counter() - start
    return {
        "pairs": pairs,
        "seconds": seconds_a_call(lambda: compiled(*views), jax.block_until_ready, tiny=True),
        "compile_seconds": compile_seconds,
        "peak_gb": speed.peak_memory_gb(),
    }


def torch_mae(size, batch_size, *, tiny):
    """A step of MAE in PyTorch, eager and compiled; on a GPU where torch sees one."""
    try:
        import torch
    except ModuleNotFoundError:
        return {"left_out": "torch is not importable"}
    import peers
    import torch_mae

    from jaxssl.models import vit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    side, patch_size = (32, 8) if tiny else (224, 16)
    batch_size = 4 if tiny else batch_size
    shape = vit.Dimensions(32, 1, 2) if tiny else vit.SIZES[size]
    images = torch.rand(batch_size, 3, side, side, device=device)
    variants = {}
    for label in ("eager", "compiled"):
        network = torch_mae.MAE(
            image_size=side,
            patch_size=patch_size,
            **shape._asdict(),
            decoder=(32, 1, 2) if tiny else DECODER,
            mask_ratio=MASK_RATIO,
        ).to(device)
        optimizer = peers.torch_adamw(network)
        if label == "compiled":
            network = torch.compile(network)
        run = peers.torch_step(network, (images,), optimizer, bf16=True, device=device)
        start = time.perf_counter()
        run().item()
        first = time.perf_counter() - start
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = seconds_a_call(run, torch.Tensor.item, tiny=tiny)
        variants[label] = {
            "batch": batch_size,
            "images_per_second": batch_size / seconds,
            "compile_seconds": first if label == "compiled" else None,
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None,
        }
    return {"torch": torch.__version__, "variants": variants}


def seconds_a_call(call, wait, *, tiny):
    """Seconds of a call of many that are dispatched one after the other, once it is warm.

    Args:
        call: dispatches work and returns what ``wait`` waits for.
        wait: takes what the last call returned.
        tiny: whether one warm call is enough; else the median of three rounds counts, which fill
            ``SECONDS``.
    """
    wait(call())
    start = time.perf_counter()
    wait(call())
    once = time.perf_counter() - start
    if tiny:
        return once
    count, rounds = max(int(SECONDS / 3 / once), 1), []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(count - 1):
            call()
        wait(call())
        rounds.append((time.perf_counter() - start) / count)
    return statistics.median(rounds)
