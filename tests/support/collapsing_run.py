"""A run of the loop that collapses at a known step."""

import dataclasses
import io
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from jaxssl import watching
from jaxssl.collapse.policy import CollapseConfig
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import loop, writers
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.job import Job
from jaxssl.types import Embeddings, Method

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 1), dtype=np.uint8)
BATCH = {"image": IMAGES[:8]}
TRAINING = TrainingConfig(batch_size=8, epochs=2, seed=3)  # 10 steps
CONFIG = CollapseConfig(patience=3, grace_steps=0)
RUN = RunConfig(log_every=1, checkpoint_every=2, keep_checkpoints=9, collapse=CONFIG)
OPTIMIZER = optax.sgd(0.01)


def method(*, dead=lambda count: False, compares_views=True):
    """A linear map of noisy pixels, all of whose embeddings are one while ``dead(steps done)``."""

    def view(key, example):
        pixels = example["image"].astype(jnp.float32).reshape(-1) / 255
        return {"a": pixels, "b": pixels + 0.1 * jax.random.normal(key, pixels.shape)}

    def loss(params, state, views, key, clock):
        del key, clock
        values = jnp.square((views["a"] - views["b"]) @ params["encoder"]).mean(axis=1)
        return values, ({"count": state["count"] + 1}, {})

    def embed(params, state, views):
        alive = jnp.where(dead(state["count"]), 0.0, 1.0)
        first, second = (
            alive * (each @ params["encoder"]) + (1 - alive) for each in (views["a"], views["b"])
        )
        return Embeddings(first, second, jax.nn.softmax(first))

    return Method(
        view=view,
        init=lambda key, views: (
            {"encoder": jax.random.normal(key, (4, 6))},
            {"count": jnp.int32(0)},
        ),
        loss=loss,
        advance=lambda params, state, clock: state,
        encoder=lambda params, state: {"params": params["encoder"]},
        inputs=dict,
        embed=embed if compares_views else None,
    )


def features(variables, batch):
    return batch["image"].reshape(-1, 4).astype(jnp.float32) @ variables["params"]


class Loader:
    """Stands in for data.Loader; may send this process a signal before a batch."""

    steps_per_epoch = 5

    def __init__(self, stop_at=None):
        self._stop_at = stop_at

    def batch(self, step):
        if step == self._stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"image": IMAGES[step * 4 % 32 :][:8]}

    def example(self):
        return {"image": IMAGES[:1]}


def train(out, *, of=None, loader=None, run=RUN, features=None, **collapse_fields):
    """One call of the loop; returns the outcome and what the console shows."""
    text = io.StringIO()
    run = dataclasses.replace(run, collapse=dataclasses.replace(run.collapse, **collapse_fields))
    job = Job(
        method=of or method(),
        optimizer=OPTIMIZER,
        schedule=lambda step: jnp.float32(0.01),
        loader=loader or Loader(),
        plan=TRAINING.plan(Loader.steps_per_epoch),
        seed=TRAINING.seed,
        meta={},
        pooled_features=features,
    )
    out.mkdir(exist_ok=True)
    outcome = loop.train(job, run, RunDirectory(out), Console(file=text, width=80))
    return outcome, text.getvalue()


def rows(out):
    return [
        {name: value for name, value in row.items() if name not in watching.TIMES}
        for row in writers.read(out / "metrics.jsonl")
    ]


def last(dead_from):
    """``dead`` of a method that collapses for good with a step."""
    return lambda count: count >= dead_from
