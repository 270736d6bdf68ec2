"""The watcher that teaches a probe beside the encoder and judges it; the encoder never knows."""

import json
from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import collectives, data, draws, files, parallel, watching
from jaxssl.evaluation import knn, splits
from jaxssl.online import judged, kept, linear
from jaxssl.runs.directory import RunDirectory
from jaxssl.types import Array, Batch, Metrics, TrainState

PREFIX = "online/"  # of the names of these numbers in a row of metrics


class ProbeWatcher(watching.Watcher):
    """Linear classifier and nearest neighbours of the encoder's pooled features, while it learns.

    Labels are looked up by the row numbers of a batch, and enter programs of this watcher alone.
    The linear probe takes one step of SGD a step of the run, on the features of its batch as they
    are in evaluation mode. It is saved beside each checkpoint, ``RUN/online/STEP.npz``, so that a
    resumed run writes the same rows; neighbours keep nothing.
    """

    def __init__(
        self,
        kinds: Collection[str],
        *,
        every: int,
        log_every: int,
        train: data.Source,
        judged_on: judged.Judged,
    ):
        """Reads the labels.

        Args:
            kinds: "linear", "knn".
            every: steps between two judgements; each belongs to the first row from there on.
            log_every: steps between two rows.
            train: what the run learns from, with labels.
            judged_on: what accuracies are of.
        """
        self._kinds, self._every, self._log_every = kinds, every, log_every
        self._labels, self._num_classes = splits.labels_of(train), train.num_classes
        self._judged = judged_on
        self._probe: linear.LinearProbe | None = None

    def begin(self, run: watching.WatchedRun) -> None:
        """Says what is judged, and goes on with what was saved at the step that is resumed."""
        self._run, self._step = run, run.step
        directory = RunDirectory(run.out)
        self._kept = kept.KeptProbes(directory.online)
        self._axis_name = parallel.axis_of(run.backend)
        self._update = parallel.map_measurement(self._updated, backend=run.backend)
        self._encode = parallel.map_measurement(self._encoded, backend=run.backend)
        said = f"online {' and '.join(self._kinds)}: {self._judged.describe()}"
        if run.step and "linear" in self._kinds:
            found = self._kept.restore(run.step)
            self._probe = None if found is None else parallel.replicate(found)
            said += f"; the linear probe begins anew at step {run.step}" if found is None else ""
        run.console.out(said, highlight=False)
        if jax.process_index() == 0:
            files.make_directory(directory.online)
            about = json.dumps(self._judged.to_json(), indent=1) + "\n"
            files.write_whole(directory.online_about, about)

    def follow(self, state: TrainState, batch: Batch) -> Metrics:
        """One step of the linear probe; ``online/linear_loss`` is its cross-entropy before it."""
        self._step += 1
        if "linear" not in self._kinds:
            return {}
        if self._probe is None:
            like = jax.eval_shape(self._features, state, batch)
            assert self._num_classes is not None  # of labelled data
            self._probe = parallel.replicate(linear.begin(like.shape[-1], self._num_classes))
        labelled = {**batch, "label": self._labels[batch["index"]]}
        self._probe, loss = self._update((self._probe, state), labelled)
        return {f"{PREFIX}linear_loss": loss}

    def measure(self, state: TrainState, batch: Batch) -> Metrics:
        """The accuracies, in rows that are the first since a multiple of ``every``, and the last.

        NaN where features are not finite, which ends a run as any measurement does.
        """
        del batch
        is_last = self._step == self._run.plan.total_steps
        if self._step % self._every >= self._log_every and not is_last:
            return {}
        sources = {"images": self._judged.images}
        if "knn" in self._kinds:
            sources["bank"] = self._judged.bank
        rows = {name: self._rows(state, source) for name, source in sources.items()}
        labels = {name: splits.labels_of(source) for name, source in sources.items()}
        is_finite = all(np.isfinite(each).all() for each in rows.values())
        found = dict.fromkeys((f"{PREFIX}{kind}_accuracy" for kind in self._kinds), np.nan)
        if "linear" in self._kinds and is_finite:
            predicted = linear.predict(jax.device_get(self._probe), jnp.asarray(rows["images"]))
            found[f"{PREFIX}linear_accuracy"] = np.mean(np.asarray(predicted) == labels["images"])
        if "knn" in self._kinds and is_finite:
            (voted, *_) = knn.evaluate(
                rows["bank"],
                labels["bank"],
                rows["images"],
                labels["images"],
                num_neighbors=knn.usual_ks(len(rows["bank"]))[:1],
            )
            found[f"{PREFIX}knn_accuracy"] = voted.accuracy
        measured: dict[str, Any] = {name: np.float32(value) for name, value in found.items()}
        return measured

    def sync(self) -> None:
        """Saves the linear probe of this step; files of steps without a checkpoint go."""
        if self._probe is None or jax.process_index() > 0:
            return
        self._kept.save(self._step, self._probe)
        newest = self._run.newest_checkpoint
        self._kept.delete(lambda step: step != self._step and newest(step + 1) != step)

    def cut(self, step: int) -> None:
        """Takes away what was saved of later steps."""
        if jax.process_index() == 0:
            self._kept.delete(lambda later: later > step)

    def _features(self, state: TrainState, batch: Batch) -> Array:
        variables = self._run.method.encoder(state.params, state.state)
        assert self._run.pooled_features is not None
        return self._run.pooled_features(variables, draws.without_labels(batch))

    def _updated(
        self, pair: tuple[linear.LinearProbe, TrainState], batch: Batch
    ) -> tuple[linear.LinearProbe, Array]:
        probe, state = pair
        features = self._features(state, batch)
        return linear.update(probe, features, batch["label"], axis_name=self._axis_name)

    def _encoded(self, state: TrainState, batch: Batch) -> Array:
        rows = self._features(state, batch).astype(jnp.float32)
        return collectives.all_gather_equal(rows, self._axis_name)

    def _rows(self, state: TrainState, source: data.Source) -> np.ndarray:
        """Features of a source on the host, float32 [N, D]."""
        batches = judged.local_batches(source, self._run.plan.batch_size)
        encoded = [np.asarray(self._encode(state, batch)) for batch in batches]
        return np.concatenate(encoded)[: len(source)]
