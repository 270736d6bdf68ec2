"""The benchmark of what devices exchange: a line of figures that can be true."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXCHANGE = Path(__file__).parents[1] / "benchmarks" / "exchange.py"


@pytest.mark.slow
def test_a_line_for_a_recipe():
    words = ["--recipes", "mae_fashion_mnist", "--batch-size", "4", "--devices", "2"]
    done = subprocess.run(
        [sys.executable, EXCHANGE, *words],
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    heads, _, line = done.stdout.splitlines()
    assert heads.startswith("| step | gradients, MB | exchanged under jit | ")
    name, gradients, *exchanged, under_jit, under_shard_map = line.strip("| ").split(" | ")
    assert name == "mae_fashion_mnist"
    assert all(float(gradients) <= float(each) < 1.1 * float(gradients) for each in exchanged)
    assert 0.9 < float(under_jit) < 1.2 and 0.9 < float(under_shard_map) < 1.2
