"""Real methods, healthy and deliberately broken: what is measured tells the two apart.

Each is trained for 101 steps on one batch of images, on one device, and its rows are judged
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

from jaxssl import collapse, losses, methods
from jaxssl.collapse import policy, watch
from jaxssl.methods import simsiam
from jaxssl.methods.shared import functional
from jaxssl.training import freezing
from jaxssl.training import step as training_step

NUM_STEPS, STEPS_PER_ROW = 101, 10
BATCH = {"image": tiny.images(32)}

pytestmark = pytest.mark.usefixtures("standard_promotion")


def noisy(noise):
    """``Method.view`` of two views of an image, as a pair and as global crops."""

    def view(key, example):
        image = example["image"].astype(jnp.float32) / 255
        views = image[None] + noise * jax.random.normal(key, (2, *image.shape))
        return {"a": views[0], "b": views[1], "global": views}

    return view


def trainer(name, optimizer, *, noise, **fields):
    """``rows(**changes)``: what is measured while a small method is trained with changed fields.

    Every call begins with the same state and measures with the same function, compiled once.
    """
    config = methods.all_configs()[name]()
    sizes = {"projector_width": 64, "projector_dim": 32, "predictor_width": 16}
    sizes |= {"num_prototypes": 32, "warmup_epochs": 0.0, "freeze_epochs": 0.0}
    sizes = {key: value for key, value in sizes.items() if hasattr(config, key)}
    config = dataclasses.replace(config, **sizes | fields)
    encoder = small_encoder.SmallConfig(width=16).build()

    def build(**changes):
        changed = dataclasses.replace(config, **changes)
        return changed.build(encoder, axis_name=None)._replace(view=noisy(noise))

    @jax.jit
    def begin():
        return training_step.init_state(build(), optimizer, BATCH, seed=0)

    start, measure = begin(), jax.jit(watch.make_watch(build(), seed=0))

    def rows(**changes):
        """After the first and every further tenth step."""
        # Not a scan: convolutions inside a loop are slow on a CPU.
        step = jax.jit(
            training_step.make_step(build(**changes), optimizer, seed=0, total_steps=1000)
        )
        state, found = start, []
        for number in range(NUM_STEPS):
            state, _ = step(state, BATCH)
            if number % STEPS_PER_ROW == 0:
                row = {name: float(value) for name, value in measure(state, BATCH).items()}
                found.append({"step": number + 1, **row})
        return found

    return rows


def judged(found):
    """The guard after all rows, by the thresholds that every run has.

    The first two rows belong to the grace period; no row is the run's last.
    """
    judge = policy.Guard(policy.CollapseConfig(grace_steps=20), last_step=10**6)
    judge.replay(found)
    return judge


def of(found, name):
    """A measurement in all rows."""
    return [row[collapse.PREFIX + name] for row in found]


@pytest.mark.slow
def test_byol_without_predictor_and_slow_target(monkeypatch):
    """The target network is the online network: every embedding becomes the same direction."""
    rows = trainer("BYOL", optax.adam(1e-2), noise=0.3)
    assert judged(rows()).collapse is None
    apply = functional.WithPredictor.apply

    def without_predictor(self, *args):
        projections, _, state = apply(self, *args)
        return projections, projections, state

    monkeypatch.setattr(functional.WithPredictor, "apply", without_predictor)
    broken = rows(target_momentum=0.0)
    assert judged(broken).collapse.finding.name == "collapse/embedding_spread"


@pytest.mark.slow
def test_simsiam_without_stop_gradient(monkeypatch):
    """Its outputs are normalised over the batch: scale and spread stay, the rank falls to one.

    Weight decay removes the directions that the loss does not ask for, and the rate is high: under
    gentler ones the rank falls too slowly for this test. The healthy twin's falls as well, to 4.6.
    """
    optimizer = optax.chain(optax.add_decayed_weights(4e-3), optax.sgd(0.4, momentum=0.9))
    rows = trainer("SimSiam", optimizer, noise=0.5)
    assert judged(rows()).collapse is None
    everything_flows = types.SimpleNamespace(stop_gradient=lambda values: values)
    monkeypatch.setattr(simsiam, "jax", types.SimpleNamespace(lax=everything_flows))
    broken = rows()
    assert judged(broken).collapse.finding.name == "collapse/embedding_rank"
    assert min(of(broken, "embedding_spread")) > 0.2


@pytest.mark.slow
def test_vicreg_without_variance():
    """Nothing holds the scale: the projections shrink to nothing in all directions at once."""
    rows = trainer("VICReg", optax.sgd(0.03, momentum=0.9), noise=0.4)
    assert judged(rows()).collapse is None
    broken = rows(variance_weight=0.0)
    assert judged(broken).collapse.finding.name == "collapse/embedding_scale"


@pytest.mark.slow
def test_dino_without_centring(monkeypatch):
    """The prototype that is ahead takes everything, while the features still differ."""
    fields = {"batch_norm": True, "teacher_temperature": 0.04, "teacher_momentum": 0.98}
    optimizer = optax.chain(freezing.scale_by_adam(), optax.scale_by_learning_rate(4e-3))
    rows = trainer("DINO", optimizer, noise=0.5, **fields)
    healthy = rows()
    assert judged(healthy).collapse is None
    assert of(healthy, "prototypes_used")[-1] > 16  # of 32
    monkeypatch.setattr(losses, "dino_center", lambda center, scores, **_: center)
    broken = rows()
    assert judged(broken).collapse.finding.name == "collapse/prototypes_used"
    assert of(broken, "prototypes_used")[-1] < 1.1
