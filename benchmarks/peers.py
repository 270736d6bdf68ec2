"""Training steps of jaxssl beside PyTorch on a CPU: milliseconds, processor time and memory.

    python benchmarks/peers.py                                   all cases, 5 rounds
    python benchmarks/peers.py --cases mae_ti4 --rounds 3 --steps 1
    python benchmarks/peers.py --cases simclr --contestants "torch f32" "jaxssl f32"

Needs jaxssl, torch and lightly in one environment; ``bash launch/peers.sh`` makes one. Every
contestant has a process of its own that prepares itself (imports, compilation, one step) and then
waits. A round lets each of them run ``--steps`` steps, one contestant after the other, so that a
machine that is busy for a while is busy for all; ratios are taken within rounds. Inputs are ready
in memory and the loss is read back after every step. Processor time is user and system time of the
process; it tells a step that computes from one that waits.

    mae_ti4     MAE, ViT-Ti, 32 px, patch 4, batch 128
    mae_s16     MAE, ViT-S, 224 px, patch 16, batch 16; both with a decoder of width 256, depth 4
                and 8 heads, mask ratio 0.75, normalised targets, AdamW
    simclr      SimCLR, ResNet-18 with the small stem, 32 px, 128 images in two views, projector
                2048-128, SGD with momentum

PyTorch runs eagerly: ``f32`` in its default layout (channels first), ``bf16`` under autocast, the
ResNet with channels last. The MAE is that of torch_mae.py; SimCLR is torchvision's ResNet and
lightly's head and loss. Numbers of parameters are compared before anything is timed.

Measure on a quiet machine. PyTorch's threads wait for each other at the end of every operation, by
spinning: where other work takes a core, its times rise several-fold in wall and processor time
alike, and jaxssl's less. The ratios printed then say nothing.
"""

import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

CONTESTANTS = ("torch f32", "torch bf16", "jaxssl f32", "jaxssl bf16")
VISION = {
    "mae_ti4": {"size": "Ti", "image_size": 32, "patch_size": 4, "batch_size": 128},
    "mae_s16": {"size": "S", "image_size": 224, "patch_size": 16, "batch_size": 16},
}
CASES = (*VISION, "simclr")
DECODER = (256, 4, 8)
MASK_RATIO = 0.75
ADAMW = {"learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.05}
SGD = {"learning_rate": 0.01, "momentum": 0.9}
SIMCLR_BATCH = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of a contestant in one round")
    parser.add_argument("--serve", nargs=2, metavar=("CASE", "CONTESTANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    packages = ("torch", "lightly", "jax", "flax", "optax")
    print(
        ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
        + f"; {len(os.sched_getaffinity(0))} cores; {options.rounds} rounds of {options.steps} "
        "steps; median [lowest..highest]"
    )
    for case in options.cases:
        compare(case, options)


def compare(case, options):
    """Runs one case and prints its table; ratios are to the first contestant."""
    command = [sys.executable, "-W", "ignore", __file__, "--serve", case]
    contestants = {}
    try:
        for name in options.contestants:
            process = subprocess.Popen(
                [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            contestants[name] = process, answer_of(name, process)
        rounds = []
        for _ in range(options.rounds):
            rounds.append({})
            for name, (process, _) in contestants.items():
                print(options.steps, file=process.stdin, flush=True)
                rounds[-1][name] = answer_of(name, process)
    finally:
        for process, _ in contestants.values():
            process.stdin.close()
            process.wait()
    counts = {name: ready["parameters"] for name, (_, ready) in contestants.items()}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"{case}: the networks must be equal; got parameters {counts}.")
    print(f"\n{case}: {next(iter(counts.values())):,} parameters\n")
    first = options.contestants[0]
    print(
        f"| contestant | ms/step | CPU ms/step | peak memory, MB | {first} / it | the same, CPU |"
    )
    print("|---|---|---|---|---|---|")
    for name in options.contestants:
        cells = [
            spread([1e3 * each[name][what] for each in rounds], ",.0f")
            for what in ("seconds", "cpu_seconds")
        ]
        cells.append(f"{max(each[name]['peak_bytes'] for each in rounds) / 1e6:,.0f}")
        cells += [
            spread([each[first][what] / each[name][what] for each in rounds], ".2f")
            for what in ("seconds", "cpu_seconds")
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def answer_of(name, process):
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name}: the process ended with status {process.wait()}; see above.")
    return json.loads(line)


def spread(values, form):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} [{low:{form}}..{high:{form}}]"


def serve(case, contestant):
    """Prepares a contestant, then runs as many steps as each line of the standard input asks."""
    library, dtype = contestant.split()
    prepare = {"torch": prepare_torch, "jaxssl": prepare_jaxssl}[library]
    step, num_parameters = prepare(case, dtype)
    step()
    print(json.dumps({"parameters": num_parameters}), flush=True)
    for line in sys.stdin:
        num_steps = int(line)
        wall, cpu = time.perf_counter(), time.process_time()
        losses = [step() for _ in range(num_steps)]
        answer = {
            "seconds": (time.perf_counter() - wall) / num_steps,
            "cpu_seconds": (time.process_time() - cpu) / num_steps,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "loss": losses[-1],
        }
        if not np.isfinite(answer["loss"]):
            raise SystemExit(f"{contestant}: the loss of {case} is {answer['loss']}.")
        print(json.dumps(answer), flush=True)


def images_of(case):
    """Images in [0, 1], float32 [B, H, W, 3]; for SimCLR two views [2, B, H, W, 3]."""
    random = np.random.default_rng(0)
    if case == "simclr":
        return random.random((2, SIMCLR_BATCH, 32, 32, 3), dtype=np.float32)
    config = VISION[case]
    size = config["image_size"]
    return random.random((config["batch_size"], size, size, 3), dtype=np.float32)


def prepare_torch(case, dtype):
    """A function that makes one step and returns the loss, and the number of parameters."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    images = torch.tensor(images_of(case)).movedim(-1, -3).contiguous()
    if case == "simclr":
        network, inputs = torch_simclr(images, channels_last=dtype == "bf16")
        optimizer = torch.optim.SGD(
            network.parameters(), lr=SGD["learning_rate"], momentum=SGD["momentum"]
        )
    else:
        network, inputs = torch_mae_of(case), (images,)
        optimizer = torch_adamw(network)
    step = torch_step(network, inputs, optimizer, bf16=dtype == "bf16")
    return lambda: step().item(), sum(each.numel() for each in network.parameters())


def torch_adamw(network):
    """The optimizer of MAE, in PyTorch's fastest form."""
    import torch

    return torch.optim.AdamW(
        network.parameters(),
        lr=ADAMW["learning_rate"],
        betas=(ADAMW["beta1"], ADAMW["beta2"]),
        weight_decay=ADAMW["weight_decay"],
        fused=True,
    )


def torch_step(network, inputs, optimizer, *, bf16, device="cpu"):
    """A function that makes one step and returns the loss, a tensor on the device."""
    import torch

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = network(*inputs)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def torch_mae_of(case):
    import torch_mae

    from jaxssl.models import vit

    config = VISION[case]
    return torch_mae.MAE(
        image_size=config["image_size"],
        patch_size=config["patch_size"],
        **vit.SIZES[config["size"]]._asdict(),
        decoder=DECODER,
        mask_ratio=MASK_RATIO,
    )


def torch_simclr(views, *, channels_last):
    """The network and its inputs, two views."""
    import lightly_peers
    import torch
    import torchvision

    from jaxssl.methods.simclr import SimCLR

    encoder = torchvision.models.resnet18()
    encoder.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    encoder.maxpool = encoder.fc = torch.nn.Identity()
    network = lightly_peers.SimCLR(encoder, SimCLR(), num_features=512)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
    return network, tuple(views)


def prepare_jaxssl(case, dtype):
    """The same of jaxssl: one compiled step of loss, gradient and optimizer."""
    from jaxssl.training import allocator

    allocator.tune()
    import jax
    import jax.numpy as jnp
    import optax

    from jaxssl.types import Clock

    dtype = {"f32": "float32", "bf16": "bfloat16"}[dtype]
    method, optimizer, views_of = (jaxssl_simclr if case == "simclr" else jaxssl_mae)(case, dtype)
    clock = Clock(jnp.int32(0), jnp.float32(0), jnp.float32(0))

    def init(key):
        params, state = method.init(key, views_of(key))
        return params, state, optimizer.init(params)

    def step(params, state, opt_state, key):
        views = views_of(key)

        def objective(params):
            values, (new_state, _) = method.loss(params, state, views, key, clock)
            return values.mean(), new_state

        (loss, state), grads = jax.value_and_grad(objective, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), state, opt_state, loss

    carried = jax.jit(init)(jax.random.key(0))
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(carried[0]))
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*carried, jax.random.key(0)).compile()
    num_steps = 0

    def run():
        nonlocal carried, num_steps
        *carried, loss = compiled(*carried, jax.random.key(num_steps))
        num_steps += 1
        return float(loss)

    return run, num_parameters


def jaxssl_mae(case, dtype):
    """Method, optimizer, and the function that draws the masks beside the ready images."""
    import jax
    import jax.numpy as jnp
    import optax

    from jaxssl import models
    from jaxssl.augment import policies
    from jaxssl.methods.mae import MAE
    from jaxssl.pretext import masking

    config, images = VISION[case], jnp.asarray(images_of(case))
    width, depth, heads = DECODER
    method = MAE(
        augment=policies.mae(size=config["image_size"]),
        mask_ratio=MASK_RATIO,
        decoder_width=width,
        decoder_depth=depth,
        decoder_heads=heads,
    )
    encoder = models.ViTConfig(config["size"], patch_size=config["patch_size"], dtype=dtype)
    num_patches = (config["image_size"] // config["patch_size"]) ** 2

    def views_of(key):
        keys = jax.random.split(key, len(images))
        draw = jax.vmap(lambda each: masking.random_masking(each, num_patches, MASK_RATIO))
        keep, masked = draw(keys)
        return {"image": images, "keep": keep, "masked": masked}

    rate, beta1, beta2, decay = ADAMW.values()
    optimizer = optax.adamw(rate, b1=beta1, b2=beta2, weight_decay=decay)
    return method.build(encoder.build(), axis_name=None), optimizer, views_of


def jaxssl_simclr(case, dtype):
    """Method, optimizer, and the function that gives the two ready views."""
    import jax.numpy as jnp
    import optax

    from jaxssl import models
    from jaxssl.methods.simclr import SimCLR

    view_a, view_b = jnp.asarray(images_of(case))
    encoder = models.ResNetConfig(18, stem="small", dtype=dtype).build()
    optimizer = optax.sgd(SGD["learning_rate"], momentum=SGD["momentum"])
    method = SimCLR().build(encoder, axis_name=None)
    return method, optimizer, lambda key: {"a": view_a, "b": view_b}


if __name__ == "__main__":
    main()
