"""The linear probe: time and memory by number of features, beside scikit-learn's.

Command: python benchmarks/probe.py --features 128 512 2048 --rows 60000

Features are those of Fashion-MNIST under random convolutions, as a grid of 4 x 4 cells. Both solve
one strength on all rows; scikit-learn's lbfgs goes on until the largest entry of its gradient is
as small as ours is certified to be. The whole fit is three strengths on nine tenths of the rows
and the best on all. Seconds are of processors, all cores added up.
"""

import argparse
import time

import jax
import numpy as np
import sklearn.linear_model

from jaxssl import data
from jaxssl.evaluation import linear, logistic, standardised
from jaxssl.training import allocator


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", nargs="+", type=int, default=(128, 512, 2048))
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--l2", type=float, default=1e-3)
    parser.add_argument("--no-peer", action="store_true", help="leave scikit-learn out")
    options = parser.parse_args()
    allocator.tune()
    source = data.ImageData("fashion-mnist", 28, 1).open("train")
    images, labels = source.columns["image"][: options.rows], source.labels[: options.rows]
    print(f"{len(images):,} rows, l2 {options.l2:g}, jax {jax.__version__}")
    print("| features | one strength, s | gradient norm | scikit-learn, s | ratio | whole fit, s |")
    print("|---|---|---|---|---|---|")
    for count in options.features:
        print(row(convolved(images, count), labels, options), flush=True)


def row(features, labels, options):
    mean, scale = standardised.moments(features)
    rows = standardised.Standardised(features, mean=mean, scale=scale)

    def solve():
        problem = logistic.Problem(rows, labels, num_classes=10)
        return problem.solve(l2=options.l2, tolerance=1e-4, max_iterations=1000)

    solution, ours = timed(solve)
    theirs = ""
    if not options.no_peer:
        scaled = ((features - mean) * scale).astype(np.float32)
        norm = solution.certificate.gradient_max
        peer = sklearn.linear_model.LogisticRegression(
            C=1 / (options.l2 * len(labels)), tol=norm, max_iter=10_000
        )
        _, theirs = timed(lambda: peer.fit(scaled, labels))
    config = linear.LinearConfig(l2_grid=(1e-1, 1e-2, 1e-3), extend=False)
    tenth = len(labels) // 10
    result, whole = timed(
        lambda: linear.fit(features, labels, features[:tenth], labels[:tenth], config=config)
    )
    ratio = f"{theirs / ours:.1f}" if theirs else ""
    theirs = f"{theirs:.1f}" if theirs else ""
    return (
        f"| {features.shape[1]:,} | {ours:.1f} | {solution.certificate.gradient_norm:.1e} | "
        f"{theirs} | {ratio} | {whole:.1f} ({result.peak_bytes / 2**20:,.0f} MiB) |"
    )


def timed(call):
    start = time.process_time()
    return call(), time.process_time() - start


def convolved(images, count):
    """Random 5 x 5 convolutions, rectified, averaged over a 4 x 4 grid: float32 [N, count]."""
    channels = -(-count // 16)
    kernel = jax.random.normal(jax.random.key(0), (5, 5, 1, channels)) / 5

    @jax.jit
    def apply(block):
        pixels = block.astype("float32") / 255 - 0.3
        maps = jax.lax.conv_general_dilated(
            pixels, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        cells = jax.nn.relu(maps).reshape(len(block), 4, 7, 4, 7, channels).mean((2, 4))
        return cells.reshape(len(block), -1)[:, :count]

    blocks = [np.asarray(apply(images[i : i + 500])) for i in range(0, len(images), 500)]
    return np.concatenate(blocks)


if __name__ == "__main__":
    main()
