"""The rows of a run in TensorBoard, W&B, MLflow, or whatever else has a ``Writer``.

``Tracker(open)`` is the watcher, in a recipe's ``run.watchers`` or given to ``jaxssl.pretrain``;
``open(run, step)`` is any function that returns a Writer. Those of this file are asked for by
options of ``RunConfig`` too, and each needs its extra.
"""

import functools
import importlib
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Protocol

import jax

from jaxssl import files, watching
from jaxssl.runs import directory as directories
from jaxssl.runs.directory import RunDirectory
from jaxssl.training.config import RunConfig

MAX_VALUE = 500  # characters of a recorded hyper-parameter, as every MLflow server takes them


class Writer(Protocol):
    """What numbers are handed to, a row at a time."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the numbers of a step; all finite."""

    def flush(self) -> None:
        """Before a state is saved: what was written must survive as the state will."""

    def close(self) -> None:
        """When the call of the run is over, however it ended."""


# Opens a writer for a run that has completed a step: what was written of later ones is void, since
# those steps are taken again.
Open = Callable[[watching.WatchedRun, int], Writer]


class Tracker(watching.Watcher):
    """Hands every row to a writer, on the first process."""

    def __init__(self, open_writer: Open):
        self._open = open_writer
        self._writer: Writer | None = None

    def begin(self, run: watching.WatchedRun) -> None:
        """Opens the writer."""
        if jax.process_index() == 0:
            self._run = run
            self._writer = self._open(run, run.step)

    def see(self, row: watching.Row) -> None:
        """Writes every entry but ``step``."""
        if self._writer is not None:
            values = {name: value for name, value in row.items() if name != "step"}
            self._writer.write(int(row["step"]), values)

    def sync(self) -> None:
        """Flushes the writer."""
        if self._writer is not None:
            self._writer.flush()

    def cut(self, step: int) -> None:
        """Goes on in a new writer, for which later steps are void."""
        if self._writer is not None:
            self._writer.close()
            self._writer = self._open(self._run, step)

    def close(self) -> None:
        """Closes the writer."""
        if self._writer is not None:
            self._writer.close()


def asked_for(run: RunConfig) -> list[Open]:
    """What opens the writers that a config asks for.

    Raises:
        ImportError: the extra of one is not installed.
    """
    opens = []
    if run.tensorboard:
        opens.append(tensorboard())
    if run.wandb is not None:
        opens.append(wandb(run.wandb))
    if run.mlflow is not None:
        opens.append(mlflow(run.mlflow))
    return opens


def tensorboard() -> Open:
    """Scalars in RUN/tensorboard; on resume TensorBoard is told to drop later steps."""
    return functools.partial(_open_tensorboard, _extra("tensorboardX", "tensorboard"))


def wandb(project: str) -> Open:
    """A run of Weights & Biases, with the recipe as its config; one run of theirs for one of ours.

    ``WANDB_MODE=offline`` writes below the run directory alone, as wandb has it.

    Args:
        project: its name there.
    """
    return functools.partial(_open_wandb, _extra("wandb", "wandb"), project)


def mlflow(experiment: str) -> Open:
    """A run of MLflow, with the recipe as its parameters; one run of theirs for one of ours.

    ``MLFLOW_TRACKING_URI`` says where, as MLflow has it.

    Args:
        experiment: its name there; made where it is missing.
    """
    return functools.partial(_open_mlflow, _extra("mlflow", "mlflow"), experiment)


def _open_tensorboard(module: ModuleType, run: watching.WatchedRun, step: int) -> Writer:
    path = RunDirectory(run.out).tensorboard
    return _TensorBoard(module.SummaryWriter(str(path), purge_step=step + 1))


def _open_wandb(module: ModuleType, project: str, run: watching.WatchedRun, step: int) -> Writer:
    del step  # W&B drops rows of steps that it has: those that were taken again are the same
    kept = RunDirectory(run.out).tracker("wandb")
    found = kept.read_text() if kept.exists() else None
    made = module.init(
        project=project,
        name=run.out.name,
        dir=str(run.out),
        id=found,
        resume=None if found is None else "allow",
        config=_recorded(run),
    )
    files.write_whole(kept, made.id)
    return _Wandb(made)


def _open_mlflow(
    module: ModuleType, experiment: str, run: watching.WatchedRun, step: int
) -> Writer:
    del step  # a row that was taken again is the same, to the bit
    client = module.MlflowClient()
    kept = RunDirectory(run.out).tracker("mlflow")
    if kept.exists():
        run_id = kept.read_text()
        client.update_run(run_id, status="RUNNING")
        return _Mlflow(module, client, run_id)
    found = client.get_experiment_by_name(experiment)
    where = client.create_experiment(experiment) if found is None else found.experiment_id
    run_id = client.create_run(where, run_name=run.out.name).info.run_id
    for name, value in _flat(_recorded(run)).items():
        client.log_param(run_id, name, value[:MAX_VALUE])
    files.write_whole(kept, run_id)
    return _Mlflow(module, client, run_id)


class _TensorBoard:
    def __init__(self, events):
        self._events = events

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        self._events.close()


class _Wandb:
    def __init__(self, made):
        self._made = made

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._made.log(dict(values), step=step)

    def flush(self) -> None:
        """Its own process writes what it was handed, whatever becomes of this one."""

    def close(self) -> None:
        self._made.finish()


class _Mlflow:
    def __init__(self, module: ModuleType, client, run_id: str):
        self._metric, self._client, self._id = module.entities.Metric, client, run_id

    def write(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        metrics = [self._metric(name, float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def flush(self) -> None:
        """Each batch is written when it is logged."""

    def close(self) -> None:
        self._client.set_terminated(self._id)


def _recorded(run: watching.WatchedRun) -> dict:
    """The recipe as the run directory has it."""
    found = directories.read_identity(RunDirectory(run.out))
    return {} if found is None else found["config"]


def _flat(config: Mapping, prefix: str = "") -> dict[str, str]:
    """ "training.batch_size": "256"."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value)
    return found


def _extra(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'run.{extra}: needs the extra; install it with: pip install "jaxssl[{extra}]".'
        ) from error
