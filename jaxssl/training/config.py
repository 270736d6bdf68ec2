"""What is run, and how: the two parts of a recipe that the loop reads."""

import dataclasses
from typing import ClassVar, Protocol

from jaxssl import checks, parallel, watching
from jaxssl.collapse.policy import CollapseConfig
from jaxssl.types import Plan


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What is run; another value is another run.

    Attributes:
        batch_size: examples in one global batch, over all devices of all processes.
        epochs: passes over the training split; may be a fraction.
        seed: the one number all randomness follows from.
    """

    OPTION: ClassVar[str] = "training"

    batch_size: int = 256
    epochs: float = 10.0
    seed: int = 0

    def __post_init__(self):
        checks.above(self, 0, "epochs")
        checks.in_range(self, 0, 2**31, "seed", open_right=True)

    def plan(self, steps_per_epoch: int, *, freezes: bool = False) -> Plan:
        """The steps of the whole run, at least 1."""
        total_steps = max(round(self.epochs * steps_per_epoch), 1)
        return Plan(self.batch_size, steps_per_epoch, total_steps, freezes)


class WatcherConfig(Protocol):
    """A frozen dataclass that makes a watcher for each call of a run."""

    def build(self) -> watching.Watcher:
        """A new watcher."""


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """How it is run; may change when a run is resumed, and changes no number of it.

    Attributes:
        backend: how the step is mapped over devices, pmap or shard_map.
        log_every: steps between two rows of metrics.
        checkpoint_every: steps between two checkpoints; the last step is always saved.
        keep_checkpoints: newest checkpoints kept, beside the one with the lowest loss.
        tensorboard: write TensorBoard event files beside the JSON lines.
        collapse: when the run counts as collapsed, and what happens then.
        accept_changed_data: go on where the data set is another one than the run began with, and
            say what that changes; without it such a run is refused.
        watchers: further watchers, of a config file's choice; not recorded.
    """

    OPTION: ClassVar[str] = "run"

    backend: parallel.Backend = "pmap"
    log_every: int = 20
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    tensorboard: bool = False
    collapse: CollapseConfig = CollapseConfig()
    accept_changed_data: bool = False
    watchers: tuple[WatcherConfig, ...] = ()

    def __post_init__(self):
        checks.at_least(self, 1, "log_every", "checkpoint_every", "keep_checkpoints")
