"""The watcher that measures collapse in every row and ends a run that has collapsed."""

import jax

from jaxssl import parallel, watching
from jaxssl.collapse import policy, watch
from jaxssl.types import Batch, Metrics, TrainState


class CollapseWatcher(watching.Watcher):
    """Measures embeddings and features, judges the rows, and does what the policy says."""

    def __init__(self, config: policy.CollapseConfig):
        self._config = config
        self._warned = False

    def begin(self, run: watching.WatchedRun) -> None:
        """Judges the rows that are there already: a run that has collapsed is not resumed."""
        self._run = run
        self._guard = policy.Guard(self._config, last_step=run.plan.total_steps)
        measure = watch.make_watch(
            run.method,
            seed=run.seed,
            axis_name=parallel.axis_of(run.backend),
            features=run.pooled_features,
        )
        if measure is not None:
            measure = parallel.map_measurement(measure, backend=run.backend)
        self._measure = measure
        self._guard.replay(run.history)
        self._act()

    def measure(self, state: TrainState, batch: Batch) -> Metrics:
        """What ``watch`` measures of a state."""
        return {} if self._measure is None else self._measure(state, batch)

    def see(self, row: watching.Row) -> None:
        """Judges a row.

        Raises:
            CollapsedError: the run has collapsed, and the policy ends such a run.
        """
        self._guard.see(int(row["step"]), row)
        self._act()

    def allows_save(self, state: TrainState, batch: Batch) -> bool:
        """False where the policy ends collapsed runs and this state may be of one.

        A state without a row of its own is measured for this.
        """
        if not self._config.ends_run:
            return True
        step = int(state.step)
        if self._guard.suspected or self._measure is None or self._guard.step == step:
            return not self._guard.suspected
        measured = jax.device_get(self._measure(state, batch))
        return not (self._guard.is_judged(step) and self._guard.below(measured) is not None)

    def _act(self) -> None:
        collapse, action = self._guard.collapse, self._config.action
        if collapse is None or action == "ignore":
            return
        if action == "warn":
            if not self._warned:
                warning = policy.warning(collapse)
                self._run.console.out(warning, highlight=False)
            self._warned = True
            return
        healthy = self._run.newest_checkpoint(collapse.first_step)
        newest = self._run.newest_checkpoint(float("inf"))
        if action == "rewind":
            self._run.rewind(healthy or 0)
        raise policy.CollapsedError(policy.ending(collapse, action, healthy=healthy, newest=newest))
