"""No method's numbers depend on who watches: three steps with all watchers, and with none."""

import io

import jax
import numpy as np
import optax
import parity
import pytest
import tiny
from rich.console import Console

from jaxssl import checkpoints, data, draws, inputs, parallel
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import loop
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.job import Job

RUN = RunConfig(log_every=1, checkpoint_every=3)
TRAINING = TrainingConfig(batch_size=16, epochs=3)


def job_of(name, encoder):
    """Three steps of a tiny method on all devices, measured as a run is."""
    axis_name = parallel.axis_of(RUN.backend)
    module = tiny.ENCODERS[encoder].build(axis_name=axis_name)
    method = tiny.method(name).build(module, axis_name=axis_name)
    labels = tiny.reads_label(name)
    batch = tiny.batch(encoder, labelled=labels)
    columns = {key: rows for key, rows in batch.items() if key != "index"}
    source = data.from_columns(columns)
    loader = data.Loader(source, batch_size=16, seed=0, labels=labels)
    example = inputs.of_example({key: rows[0] for key, rows in loader.batch(0).items()})
    fed = inputs.of_method(method, example)

    def pooled_features(variables, batch):
        made = jax.vmap(method.inputs)(draws.without_labels(batch))
        return module.apply(variables, *inputs.read(fed, made), train=False).pooled

    return Job(
        method=method,
        optimizer=optax.sgd(0.01),
        schedule=lambda step: 0.01,
        loader=loader,
        plan=TRAINING.plan(1),
        seed=5,
        meta={},
        pooled_features=pooled_features,
    )


# A target with a queue, and two towers.
KINDS = {"MoCoV2", "CLIP"}


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize(
    "case",
    [parity.group(case, slow=[case] if case[0] in KINDS else ()) for case in tiny.CASES],
    ids="-".join,
)
def test_watchers_change_no_number(case, tmp_path):
    job, states = job_of(*case), []
    for watchers in (None, []):  # all of them; none
        out = tmp_path / f"{watchers}"
        out.mkdir()
        loop.train(job, RUN, RunDirectory(out), Console(file=io.StringIO()), watchers)
        states.append(checkpoints.restore_state(out, jax.eval_shape(job.initial_state)))
    jax.tree.map(np.testing.assert_array_equal, *states)
