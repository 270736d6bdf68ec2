"""Convolutions on a CPU: GFLOP per second and core by shape, XLA's form beside jaxssl's.

    python benchmarks/convolution.py                     the shapes of the recipes, float32
    python benchmarks/convolution.py --dtype bfloat16 --batch 128

For each shape the value and both gradients, as ``models.convolution`` computes them and as XLA's
convolution and its own derivatives do; the form is named where it is not XLA's. Rates count the
multiplications and additions of the windows, those of padding among them, and divide by processor
time, so that a busy machine changes them little. The two take turns; median over rounds.
"""

import argparse
import importlib.metadata
import statistics
import time

import jax

from jaxssl.models import convolution
from jaxssl.training import allocator

# Side of the map, channels in and out, kernel, stride, padding of each side.
SHAPES = (
    (28, 1, 16, 7, 2, 3),  # the ImageNet stem
    (28, 1, 64, 7, 2, 3),
    (28, 1, 32, 4, 4, 0),  # the patch stem
    (7, 16, 16, 3, 1, 1),  # stages behind the ImageNet stem, 28 px: quarter width
    (7, 16, 32, 3, 2, 1),
    (4, 32, 32, 3, 1, 1),
    (2, 64, 64, 3, 1, 1),
    (1, 128, 128, 3, 1, 1),
    (7, 64, 64, 3, 1, 1),  # full width
    (7, 64, 128, 3, 2, 1),
    (4, 128, 128, 3, 1, 1),
    (7, 64, 128, 1, 2, 0),
    (32, 64, 64, 3, 1, 1),  # the small stem, 32 px
    (16, 128, 128, 3, 1, 1),
    (8, 256, 256, 3, 1, 1),
    (4, 512, 512, 3, 1, 1),
)
WHAT = ("value", "to x", "to kernel")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    allocator.tune()
    print(
        f"jax {importlib.metadata.version('jax')}, {options.dtype}, {options.batch} maps, "
        f"{options.rounds} rounds; GFLOP/s and core, XLA / jaxssl\n"
    )
    print("| map | kernel | stride | form | " + " | ".join(WHAT) + " |")
    print("|" + "---|" * (4 + len(WHAT)))
    for shape in SHAPES:
        side, channels, features, size, stride, _ = shape
        cells = [f"{xla:.0f} / {ours:.0f}" for xla, ours in rates(shape, options)]
        print(
            f"| {side} x {side} x {channels} | {size} x {size} to {features} | {stride} "
            f"| {form_of(shape, options.batch)} | {' | '.join(cells)} |",
            flush=True,
        )


def form_of(shape, batch):
    """The form's name; empty where XLA's own runs."""
    side, channels, features, size, stride, pad = shape
    form = convolution._form(
        (batch, side, side, channels),
        (size, size, channels, features),
        (stride, stride),
        ((pad, pad), (pad, pad)),
    )
    return "" if form is None else form.__name__.removeprefix("_by_").replace("_", " ")


def rates(shape, options):
    """GFLOP/s of XLA and of jaxssl, for the value and each gradient."""
    side, channels, features, size, stride, pad = shape
    strides, padding = (stride, stride), ((pad, pad), (pad, pad))
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (options.batch, side, side, channels), options.dtype)
    kernel = jax.random.normal(keys[1], (size, size, channels, features), options.dtype)

    def xla(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=convolution.DIMENSIONS
        )

    def ours(x, kernel):
        return convolution.convolve(x, kernel, strides=strides, padding=padding)

    out = jax.eval_shape(xla, x, kernel)
    cotangent = jax.random.normal(keys[2], out.shape, out.dtype)
    flops = 2 * out.size * size * size * channels
    for which in range(len(WHAT)):
        compiled = [
            jax.jit(_nth(function, which)).lower(x, kernel, cotangent).compile()
            for function in (xla, ours)
        ]
        seconds = [[], []]
        for each in compiled:
            jax.block_until_ready(each(x, kernel, cotangent))
        for _ in range(options.rounds):
            for times, each in zip(seconds, compiled, strict=True):
                times.append(_processor_seconds(each, x, kernel, cotangent))
        yield tuple(flops / statistics.median(times) / 1e9 for times in seconds)


def _nth(convolve, which):
    """The value, or the gradient of one operand alone; what is not asked for is not computed."""
    if which == 0:
        return lambda x, kernel, cotangent: convolve(x, kernel)
    return lambda x, kernel, cotangent: jax.vjp(convolve, x, kernel)[1](cotangent)[which - 1]


def _processor_seconds(compiled, *operands, at_least=0.05):
    start, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - start < at_least:
        jax.block_until_ready(compiled(*operands))
        calls += 1
    return (time.process_time() - start) / calls


if __name__ == "__main__":
    main()
