"""Real methods, healthy and deliberately broken: what is measured tells the two apart.

Each is trained for a hundred steps on one batch of images, on one device, and its rows are judged
as a run's would be. Views are the image and noise, which costs less than crops to compile.
"""

import dataclasses
import types

import jax
import jax.numpy as jnp
import optax
import pytest
import small_encoder
import tiny

from jaxssl import methods
from jaxssl.methods import simsiam
from jaxssl.models import functional
from jaxssl.training import guard, watch
from jaxssl.training import step as training_step

NUM_ROWS, STEPS_PER_ROW = 10, 10
NOISE = 0.1
BATCH = {"image": tiny.images(64)}

pytestmark = pytest.mark.usefixtures("standard_promotion")


def noisy(key, example):
    """Two views of an image, as a pair and as global crops."""
    image = example["image"].astype(jnp.float32) / 255
    views = image[None] + NOISE * jax.random.normal(key, (2, *image.shape))
    return {"a": views[0], "b": views[1], "global": views}


def rows(name, optimizer, **fields):
    """What is measured after every tenth step of a small method."""
    config = methods.all_configs()[name]()
    sizes = {"projector_width": 64, "projector_dim": 32, "predictor_width": 16}
    sizes |= {"num_prototypes": 32, "warmup_epochs": 0.0, "freeze_epochs": 0.0}
    sizes = {key: value for key, value in sizes.items() if hasattr(config, key)}
    config = dataclasses.replace(config, **sizes | fields)
    encoder = small_encoder.SmallConfig(width=16).build()
    method = config.build(encoder, axis_name=None)._replace(view=noisy)
    step = training_step.make_step(method, optimizer, seed=0, total_steps=1000)
    measure = watch.make_watch(method, seed=0)

    @jax.jit
    def begin():
        return training_step.init_state(method, optimizer, BATCH, seed=0)

    # Not a scan: convolutions inside a loop are slow on a CPU.
    step, measure = jax.jit(step), jax.jit(measure)
    state, found = begin(), []
    for _ in range(NUM_ROWS):
        for _ in range(STEPS_PER_ROW):
            state, _ = step(state, BATCH)
        row = {name: float(value) for name, value in measure(state, BATCH).items()}
        found.append({"step": int(state.step), **row})
    return found


def judged(found, **config):
    """The guard after all rows, of which the first two belong to the grace period."""
    judge = guard.Guard(guard.CollapseConfig(grace_steps=20, **config), last_step=10**6)
    judge.replay(found)
    return judge


def last(found, name):
    return found[-1][watch.PREFIX + name]


def test_byol_without_predictor_and_slow_target(monkeypatch):
    """The target network is the online network: every embedding becomes the same direction."""
    assert judged(rows("BYOL", optax.adam(1e-2))).collapse is None
    apply = functional.WithPredictor.apply

    def without_predictor(self, *args):
        projections, _, state = apply(self, *args)
        return projections, projections, state

    monkeypatch.setattr(functional.WithPredictor, "apply", without_predictor)
    broken = rows("BYOL", optax.adam(1e-2), target_momentum=0.0)
    assert judged(broken).collapse.finding.name == "collapse/embedding_spread"


def test_simsiam_without_stop_gradient(monkeypatch):
    """Its outputs are normalised over the batch, so that their spread cannot fall: the rank does.

    It falls slowly, so that a threshold that fits the method is what finds it in time.
    """
    healthy = rows("SimSiam", optax.adam(1e-2))
    assert judged(healthy).collapse is None
    assert judged(healthy, min_rank=6.0).collapse is None
    everything_flows = types.SimpleNamespace(stop_gradient=lambda values: values)
    monkeypatch.setattr(simsiam, "jax", types.SimpleNamespace(lax=everything_flows))
    broken = rows("SimSiam", optax.adam(1e-2))
    assert last(broken, "embedding_spread") > 0.9
    assert last(broken, "alignment") < last(healthy, "alignment")
    assert judged(broken, min_rank=6.0).collapse.finding.name == "collapse/embedding_rank"
