"""Memory of a step of each device: planned, and of the compiled program.

    python benchmarks/memory.py                      a contrastive ViT, by the size of a micro-batch
    python benchmarks/memory.py --devices 4          two steps on fake devices, by --run.shard
    python benchmarks/memory.py --remat              a ViT-S/16, by what is computed anew
    python benchmarks/memory.py --steps              steps of several methods and networks
    python benchmarks/memory.py --pairs 65536        NT-Xent and its gradient, by devices

Nothing is run: bytes are those of the state and rows that the compiled program takes, and of its
temporaries, as XLA says (``memory_analysis``).
"""

import argparse
import dataclasses
import os

_VIT = {"width": 192, "depth": 4, "num_heads": 3, "patch_size": 4}
_WIDE = {"width": 384, "depth": 6, "num_heads": 6, "patch_size": 7, "pool": "mean"}
SHARDED = (
    ("MoCo v3, ViT of width 128", "moco_v3_vit_fashion_mnist", None),
    ("MAE, ViT of width 384", "mae_fashion_mnist", _WIDE),
)
# Title, recipe, its batch; fields of its encoder that change, or those of a ViT in its place.
STEPS = (
    ("SimCLR, ResNet-18 x 0.25", "simclr_fashion_mnist", 128, {}, None),
    ("SimCLR, ViT", "simclr_fashion_mnist", 32, {}, _VIT),
    ("SimCLR, ViT, bfloat16", "simclr_fashion_mnist", 32, {}, _VIT | {"dtype": "bfloat16"}),
    ("MAE", "mae_fashion_mnist", 64, {}, None),
    ("MAE, bfloat16", "mae_fashion_mnist", 64, {"dtype": "bfloat16"}, None),
    ("MoCo v3, ViT", "moco_v3_vit_fashion_mnist", 64, {}, None),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="moco_v3_vit_fashion_mnist")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--parts", type=int, nargs="+", default=(1, 4, 16), help="micro-batches")
    parser.add_argument("--remat", action="store_true", help="a ViT-S/16 at 224 px, 16 pairs")
    parser.add_argument("--steps", action="store_true", help="of several methods and networks")
    parser.add_argument("--pairs", type=int, help="of NT-Xent, of 128 features, on 1 to 8 devices")
    options = parser.parse_args()
    if options.pairs:
        options.devices = 8
    count = f"--xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {count}"
    if options.pairs:
        print("| devices | temporaries of each, MB | both embeddings there |\n|---|---|---|")
        for devices in (1, 2, 4, 8):
            show(devices, *of_pairs(options.pairs, devices))
    elif options.remat:
        header("--encoder.remat")
        for remat in ("none", "dots", "block"):
            fields = {"size": "S", "patch_size": 16, "scan_layers": True, "remat": remat}
            show(remat, *measure("photos_simclr", 16, vit=fields))
    elif options.steps:
        header("step")
        for title, recipe, batch_size, changes, vit in STEPS:
            show(title, *measure(recipe, batch_size, changes, vit=vit))
    elif options.devices > 1:
        header("step, --run.shard", " a device")
        for title, recipe, vit in SHARDED:
            for shard in ("none", "state", "params"):
                taken = measure(recipe, options.batch_size, vit=vit, shard=shard)
                show(f"{title}, {shard}", *taken)
    else:
        header("--training.micro-batch")
        for parts in options.parts:
            size = options.batch_size // parts
            show(size, *measure(options.recipe, options.batch_size, micro_batch=size))


def measure(name, batch_size, changes=None, **options):
    """Bytes a device of a step of a recipe: planned, compiled, and what of these is the state.

    Takes what ``job_of`` takes.
    """
    from jaxssl.training import memory

    job = job_of(name, batch_size, changes, **options)
    planned = memory.footprint(job)
    state = planned.parameters + planned.optimizer + planned.kept
    return planned.total, memory.compiled(job), state


def of_pairs(pairs, devices, block_size=256):
    """Bytes a device of NT-Xent with its gradient: of temporaries, and of its arguments."""
    import jax
    import jax.numpy as jnp

    from jaxssl import losses, parallel

    mesh = parallel.mesh(devices=jax.devices()[:devices])
    rows = jax.sharding.NamedSharding(mesh, jax.P(parallel.AXIS))
    views = [jax.ShapeDtypeStruct((pairs, 128), jnp.float32, sharding=rows)] * 2

    def loss(first, second):
        return jnp.mean(losses.nt_xent(first, second, block_size=block_size))

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    found = step.lower(*views).compile().memory_analysis()
    return found.temp_size_in_bytes, found.argument_size_in_bytes


def job_of(
    name, batch_size, changes=None, *, vit=None, micro_batch=None, shard="none", backend="jit"
):
    """The job of a recipe on black images.

    Args:
        name: of the recipe.
        batch_size: of all devices.
        changes: fields of the recipe's encoder.
        vit: fields of a ViT in its place.
        micro_batch: examples that the encoder holds at a time.
        shard: what is divided.
        backend: how the step is spread over devices.
    """
    # Only now: XLA_FLAGS are read when JAX begins.
    import numpy as np

    from jaxssl import data, models
    from jaxssl.runs import pretrain, recipe

    config = recipe.load(name)
    encoder = dataclasses.replace(config.encoder, **(changes or {}))
    if vit is not None:
        encoder = models.ViTConfig(**vit)
    size, channels = config.data.image_size, config.data.channels
    source = data.from_arrays(np.zeros((batch_size, size, size, channels), np.uint8))
    training = dataclasses.replace(
        config.training, batch_size=batch_size, micro_batch=micro_batch, epochs=1000
    )
    config = dataclasses.replace(
        config,
        method=pretrain.prepare(config.method, source),
        encoder=encoder,
        training=training,
        run=dataclasses.replace(config.run, backend=backend, shard=shard),
    )
    with data.Loader(source, batch_size=batch_size, seed=0) as loader:
        return pretrain.build(config, source, loader)


def header(first, where=""):
    print(f"| {first} | planned, MB{where} | compiled | of these the state |")
    print("|---|---|---|---|")


def show(first, *measured):
    cells = (f"{value / 1e6:,.0f}" for value in measured)
    print(f"| {first} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
