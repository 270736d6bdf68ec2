"""Images per second of augmentation policies, fast and exact, beside the same in Pillow.

    python benchmarks/augmentation.py                    # everything, one core, about two minutes
    python benchmarks/augmentation.py --sides 32 96 --cores 2 --rounds 9 --batch 128

jaxssl: one jitted call on a uint8 batch, float32 views out; exact: the same with torchvision's
operations one by one, where a policy has colours. Pillow: one image after the other in
one thread, uint8 in, float32 views out, with the published operations (crops by
``resize(box=)``, jitter in shuffled order with a clip after each, HSV hue, ``GaussianBlur``). All
start from decoded images in memory and use no other process. Rounds alternate between them;
a line gives the median and the range over rounds. The machine pins itself to ``--cores``; Pillow
can use only one of them.
"""

import argparse
import dataclasses
import math
import os
import random
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
parser.add_argument("--sides", type=int, nargs="+", default=[28, 32, 96, 224])
parser.add_argument("--batch", type=int, default=None, help="images a call; default by side")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--cores", type=int, default=1)
arguments = parser.parse_args()
if hasattr(os, "sched_setaffinity"):  # before JAX sizes its thread pool
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])

import jax  # noqa: E402
import numpy as np  # noqa: E402
import PIL  # noqa: E402
from PIL import Image, ImageEnhance, ImageFilter, ImageOps  # noqa: E402

from jaxssl.augment import policies  # noqa: E402

# side of the view: (side of the source, channels, images a call)
CASES = {28: (28, 1, 256), 32: (32, 3, 256), 96: (96, 3, 64), 224: (256, 3, 16)}


def pillow_crop_flip(image, policy, generator):
    width, height = image.size
    for _ in range(10):
        area = width * height * generator.uniform(*policy.crop_scale)
        aspect = math.exp(generator.uniform(*map(math.log, policy.crop_ratio)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            break
    else:
        w, h = width, height
    left, top = generator.randint(0, width - w), generator.randint(0, height - h)
    method = (
        Image.Resampling.BICUBIC if policy.interpolation == "cubic" else Image.Resampling.BILINEAR
    )
    image = image.resize((policy.size, policy.size), method, box=(left, top, left + w, top + h))
    return ImageOps.mirror(image) if generator.random() < policy.flip_prob else image


def pillow_hue(image, turns):
    if image.mode != "RGB":
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = Image.fromarray(np.asarray(hue) + np.uint8(int(turns * 255) % 256), "L")
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def pillow_simclr(image, policy, generator):
    image = pillow_crop_flip(image, policy, generator)
    if generator.random() < policy.jitter_prob:
        changes = [change * policy.jitter_strength for change in policy.jitter]
        enhancers = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color]
        for index in generator.sample(range(4), 4):
            change = changes[index]
            if index == 3:
                image = pillow_hue(image, generator.uniform(-change, change))
            elif image.mode == "RGB" or index < 2:
                factor = generator.uniform(max(0.0, 1 - change), 1 + change)
                image = enhancers[index](image).enhance(factor)
    if image.mode == "RGB" and generator.random() < policy.grayscale_prob:
        image = image.convert("L").convert("RGB")
    if generator.random() < policy.blur_prob:
        image = image.filter(ImageFilter.GaussianBlur(generator.uniform(*policy.blur_sigma)))
    return image


def pillow_batch(view, policy, images, num_views):
    generator = random.Random(0)

    def run():
        out = np.empty(
            (num_views, len(images), policy.size, policy.size, images[0].shape[-1]), np.float32
        )
        for row, pixels in enumerate(images):
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
            for number in range(num_views):
                made = np.asarray(view(image, policy, generator), np.float32) / 255
                out[number, row] = made.reshape(out.shape[2:])
        return out

    return run


def jaxssl_batch(policy, images, num_views):
    def example_views(key, image):
        return [policy(k, image) for k in jax.random.split(key, num_views)]

    @jax.jit
    def batch_views(key, images):
        return jax.vmap(example_views)(jax.random.split(key, len(images)), images)

    key = jax.random.key(0)
    start = time.perf_counter()
    compiled = batch_views.lower(key, images).compile()
    compile_seconds = time.perf_counter() - start
    return lambda: jax.block_until_ready(compiled(key, images)), compile_seconds


def rates(runs, num_images, rounds):
    """Images per second of each run in each round, the runs taking turns."""
    for run in runs:
        run()
    out = [[] for _ in runs]
    for _ in range(rounds):
        for rate, run in zip(out, runs):
            start = time.perf_counter()
            run()
            rate.append(num_images / (time.perf_counter() - start))
    return out


def spread(values, form):
    return f"{form(statistics.median(values))} [{form(min(values))}..{form(max(values))}]"


def main():
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"jax {jax.__version__} on {device.device_kind}, Pillow {PIL.__version__}; "
        f"{cores} core(s), {arguments.rounds} rounds; images/s: median [lowest..highest]"
    )
    for side in arguments.sides:
        source, channels, batch = CASES.get(side, (side, 3, 64))
        batch = arguments.batch or batch
        shape = (batch, source, source, channels)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        small = side < 64
        cases = [
            ("SimCLR, blur", policies.simclr(side).first, pillow_simclr, 2),
            ("MAE", policies.mae(side), pillow_crop_flip, 1),
        ]
        if small:
            sharp = policies.simclr(side, jitter_strength=0.5, blur_prob=0.0).first
            cases.insert(0, ("SimCLR", sharp, pillow_simclr, 2))
        for name, policy, view, num_views in cases:
            made = {"jaxssl": policy}
            if isinstance(policy, policies.View):
                made["exact"] = dataclasses.replace(policy, exact=True)
            on_device = jax.device_put(images)
            compiled = [jaxssl_batch(each, on_device, num_views) for each in made.values()]
            runs = [run for run, _ in compiled] + [pillow_batch(view, policy, images, num_views)]
            *ours, pillow = rates(runs, batch, arguments.rounds)
            parts = [f"Pillow {spread(pillow, '{:.0f}'.format)}"]
            for label, rate, (_, seconds) in zip(made, ours, compiled):
                ratios = [a / b for a, b in zip(rate, pillow)]
                parts.append(
                    f"{label} {spread(rate, '{:.0f}'.format)}, {spread(ratios, '{:.1f}'.format)} "
                    f"times Pillow, compile {seconds:.1f} s"
                )
            if len(ours) > 1:
                ratios = [a / b for a, b in zip(*ours)]
                parts.append(f"jaxssl / exact {spread(ratios, '{:.1f}'.format)}")
            print(
                f"{name}, {num_views} view(s), {source}x{source}x{channels} -> {side}, "
                f"batch {batch}: {'; '.join(parts)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
