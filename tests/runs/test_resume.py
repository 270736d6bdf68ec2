"""kill -9 at any step, then the same command again: the numbers of a run that nothing disturbed."""

import random

import jax
import numpy as np
import pytest
import tiny_runs

from jaxssl import checkpoints, cli
from jaxssl.runs.opened import open_run

MAE = "mae_fashion_mnist"
NUM_STEPS = 10
# How often each run is killed; each time costs the start of a process.
KILLS = {MAE: 3}
# The other kinds of state: a target with a queue, a memory of all images, prototypes with a queue.
SLOW = ["moco_v2_fashion_mnist", "deep_cluster_v2_fashion_mnist", "swav_fashion_mnist"]
EXHAUSTIVE = [
    "byol_fashion_mnist",
    "dino_fashion_mnist",
    "moco_v1_fashion_mnist",
    "moco_v3_fashion_mnist",
    "nnclr_fashion_mnist",
    "rotation_fashion_mnist",
    "simclr_fashion_mnist",
]


pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="module")
def whole(npz, tmp_path_factory):
    """A run of each recipe that nothing interrupts."""
    outs = {}

    def run(name):
        if name not in outs:
            outs[name] = tmp_path_factory.mktemp("whole") / name
            assert cli.main(tiny_runs.words(name, npz, outs[name])) == 0
        return outs[name]

    return run


def states_of(*outs):
    """The last training state of runs of one recipe, all of it."""
    states = [open_run(out).state for out in outs]
    assert all(state.step == NUM_STEPS for state in states)
    return states


@pytest.mark.parametrize(
    ("name", "num_kills"),
    [
        *KILLS.items(),
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in SLOW),
        *(pytest.param(name, 1, marks=pytest.mark.exhaustive) for name in EXHAUSTIVE),
    ],
)
def test_kill_and_resume_gives_the_same_bits(name, num_kills, npz, whole, tmp_path):
    undisturbed = whole(name)  # first: what it compiles, the killed process need not
    steps = sorted(random.Random(name).sample(range(1, NUM_STEPS), num_kills))
    argv = tiny_runs.words(name, npz, tmp_path / "run")
    for step in steps:
        tiny_runs.kill_at(tiny_runs.start(argv), tmp_path / "run", step)
    assert max(checkpoints.complete_steps(tmp_path / "run"), default=0) < NUM_STEPS
    assert cli.main(argv) == 0
    jax.tree.map(np.testing.assert_array_equal, *states_of(tmp_path / "run", undisturbed))
    assert tiny_runs.rows(tmp_path / "run") == tiny_runs.rows(undisturbed)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_another_number_of_devices_goes_on(npz, whole, tmp_path):
    argv = tiny_runs.words(MAE, npz, tmp_path / "run")
    tiny_runs.kill_at(tiny_runs.start(argv, devices=2), tmp_path / "run", 6)
    assert checkpoints.complete_steps(tmp_path / "run") == [4]
    assert cli.main(argv) == 0
    for got, expected in zip(
        tiny_runs.rows(tmp_path / "run"), tiny_runs.rows(whole(MAE)), strict=True
    ):
        assert got == pytest.approx(expected, rel=1e-4)
    got, expected = (flat(state.params) for state in states_of(tmp_path / "run", whole(MAE)))
    # As a whole: Adam divides a gradient that is zero but for rounding by its own size.
    # Any other view, order or key would differ by the size of the updates, about 1e-2.
    assert np.linalg.norm(got - expected) < 1e-4 * np.linalg.norm(expected)
