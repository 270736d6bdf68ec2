"""The loss of a method on examples that it did not learn from."""

import dataclasses
import os
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

import jaxssl
from jaxssl import checks, data, draws, inputs, named
from jaxssl.evaluation import protocol
from jaxssl.runs.opened import OpenedRun, open_run
from jaxssl.types import Array, Batch, PyTree

NAME = "pretext"  # what the result file calls the evaluator


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        step: checkpoint; the newest by default.
        split: whose examples are priced; by default the test split of the run.
        data_path: where the data set is, if not where pretraining found it.
        batch_size: examples priced together, which losses of whole batches depend on; by default
            that of the run, or the split where it is smaller.
        seed: of the views.
    """

    step: int | None = None
    split: str | None = None
    data_path: str | None = None
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self):
        checks.at_least(self, 1, "batch_size")


def measure(run: str | os.PathLike, options: Options = Options()) -> dict:
    """The method's own loss and metrics on a split, as the network is and as it began.

    Views are drawn as in training, and networks run as there, normalised by the statistics of the
    batch. What fills no batch at the end of the split is left out. Writes a result file
    (``protocol.path``).

    Args:
        run: run directory.
        options: what is measured.

    Returns:
        The record that was written; "results" has "trained" and "untrained", each ``{"loss": mean,
        "half_width": of the 95 % interval over batches, metric: mean, …}``.

    Raises:
        ValueError: no complete checkpoint (CheckpointError), no such split, or a method that keeps
            something of every training image, which it does not have of others.
    """
    opened = open_run(run, options.step)
    config = data.elsewhere(opened.recipe.data, options.data_path)
    split = options.split or config.test_split
    source = config.open(split)
    size = min(options.batch_size or opened.recipe.training.batch_size, len(source))
    _check_is_new(opened)
    beginning = opened.beginning()
    found = {
        "trained": _mean(_rows(opened, opened.params, opened.method_state, source, size, options)),
        "untrained": _mean(_rows(opened, beginning.params, beginning.state, source, size, options)),
    }
    described = {
        "evaluator": NAME,
        "dataset": source.name,
        "train_split": opened.meta["dataset"]["split"],
        "test_split": split,
        "test_fingerprint": source.fingerprint,
        "test_size": len(source),
        "num_priced": len(source) // size * size,
        "batch_size": size,
        "layer": "pooled",
        "seed": options.seed,
    }
    subject = {
        "encoder": "trained",
        "method": opened.meta["config"]["method"],
        "step": opened.step,
        "versions": {"jax": jax.__version__, "jaxssl": jaxssl.__version__},
    }
    path = protocol.path(run, described, subject)
    return protocol.write(path, protocol=described, subject=subject, results=found)


def _rows(
    opened: OpenedRun,
    params: PyTree,
    state: PyTree,
    source: data.Source,
    size: int,
    options: Options,
) -> Iterator[Mapping[str, Array]]:
    """Loss and metrics of every whole batch of a split."""
    method, clock = opened.method, opened.clock

    @jax.jit
    def priced(params: PyTree, state: PyTree, batch: Batch, number: Array) -> dict[str, Array]:
        keys = draws.example_keys(options.seed, number, size, None)
        views = draws.make_views(method, batch, keys)
        key = draws.loss_key(options.seed, number)
        values, (_, metrics) = method.loss(params, state, views, key, clock)
        return {"loss": jnp.mean(values), **metrics}

    for number, batch in enumerate(data.batches(source, size)):
        rows = np.arange(number * size, (number + 1) * size, dtype=np.int32)
        if len(next(iter(batch.values()))) == size:
            shown = {**draws.shown(method, batch), "index": rows}
            yield priced(params, state, shown, jnp.int32(number))


def _mean(rows: Iterator[Mapping[str, Array]]) -> dict[str, float]:
    values = [{name: float(value) for name, value in row.items()} for row in rows]
    found = {name: float(np.mean([row[name] for row in values])) for name in values[0]}
    if len(values) > 1:
        deviation = np.std([row["loss"] for row in values], ddof=1)
        found["half_width"] = float(1.96 * deviation / len(values) ** 0.5)
    return found


def _check_is_new(opened: OpenedRun) -> None:
    """Refuses a method whose views name the row they are of: it remembers every training image."""
    example = inputs.example_of_meta(opened.meta)
    like = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape, dtype in example}
    views = jax.eval_shape(opened.method.view, jax.eval_shape(lambda: jax.random.key(0)), like)
    if isinstance(views, Mapping) and "index" in views:
        name = named.short(opened.recipe.method)
        raise ValueError(
            f"pretext-eval: {name} keeps something of every training image, by which its loss is "
            "computed; of others there is none. Evaluate its features: jaxssl evaluate RUN."
        )
