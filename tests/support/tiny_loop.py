"""The loop on a method of four weights and its loader: what the tests of the loop share."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from rich.console import Console

from jaxssl import checkpoints, models, watching
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import loop, writers
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.job import Job
from jaxssl.types import Method

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 4, 1), dtype=np.uint8)
TRAINING = TrainingConfig(batch_size=8, epochs=2, seed=3)  # 10 steps
RUN = RunConfig(log_every=1, checkpoint_every=3, keep_checkpoints=9)
OPTIMIZER = optax.adam(0.1)
META = tiny.meta(models.ViTConfig())


def schedule(step):
    return jnp.float32(0.1) / (step + 1)


def method(*, diverging=None, at=None):
    """Linear regression on noise from the example's key; one metric can be made infinite."""

    def view(key, example):
        pixels = example["image"].astype(jnp.float32).reshape(-1) / 255
        return {"pixels": pixels, "noise": jax.random.uniform(key)}

    def loss(params, state, views, key, clock):
        del key
        values = (views["pixels"] @ params["encoder"] + params["head"] - views["noise"]) ** 2
        noise = views["noise"].mean()
        if diverging == "loss":
            values = jnp.where(clock.step == at, jnp.nan, values)
        elif diverging == "noise":
            noise = jnp.where(clock.step == at, jnp.inf, noise)
        return values, ({"count": state["count"] + 1}, {"noise": noise})

    return Method(
        view=view,
        init=lambda key, views: (
            {"encoder": jnp.full(8, 0.5), "head": jnp.float32(0)},
            {"count": jnp.int32(0)},
        ),
        loss=loss,
        advance=lambda params, state, clock: state,
        encoder=lambda params, state: {"params": params["encoder"]},
        inputs=dict,
    )


class Loader:
    """Stands in for data.Loader; does something of the test's choice before a batch."""

    steps_per_epoch = 5

    def __init__(self, before=None, at=None):
        self._before, self._at = before, at
        self.asked = []

    def batch(self, step):
        self.asked.append(step)
        if step == self._at:
            self._before()
        return {"image": IMAGES[step * 4 % 32 :][:8]}

    def example(self):
        return {"image": IMAGES[:1]}


def job(loader=None, of=None, **how):
    return Job(
        method=of or method(),
        optimizer=OPTIMIZER,
        schedule=schedule,
        loader=loader or Loader(),
        plan=TRAINING.plan(Loader.steps_per_epoch),
        seed=TRAINING.seed,
        meta=META,
        **how,
    )


def train(out, loader=None, *, run=RUN, of=None, watchers=None):
    """One call of the loop; returns the outcome and what the console shows."""
    text = io.StringIO()
    out.mkdir(exist_ok=True)
    console = Console(file=text, width=80)
    outcome = loop.train(
        job(loader, of, backend=run.backend, shard=run.shard),
        run,
        RunDirectory(out),
        console,
        watchers,
    )
    return outcome, text.getvalue()


def final_state(out):
    return checkpoints.restore_state(out, jax.eval_shape(job().initial_state))


def rows(out):
    return [
        {name: value for name, value in row.items() if name not in watching.TIMES}
        for row in writers.read(out / "metrics.jsonl")
    ]


def assert_same_bits(got, expected):
    jax.tree.map(np.testing.assert_array_equal, final_state(got), final_state(expected))
    assert rows(got) == rows(expected)
