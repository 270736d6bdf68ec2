"""What is run, and how: the two parts of a recipe that the loop reads."""

import dataclasses
from typing import ClassVar, Literal, Protocol, get_args

from jaxssl import checks, parallel, sharding, watching
from jaxssl.collapse.policy import CollapseConfig
from jaxssl.types import Plan

ProbeKind = Literal["linear", "knn"]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What is run; another value is another run.

    Attributes:
        batch_size: examples in one global batch, over all devices of all processes.
        micro_batch: examples of the global batch that the encoder holds at a time; all of them by
            default. The numbers stay the same, but where it normalises by statistics of its batch.
        epochs: passes over the training split; may be a fraction.
        seed: the one number all randomness follows from.
    """

    OPTION: ClassVar[str] = "training"

    batch_size: int = 256
    micro_batch: int | None = None
    epochs: float = 10.0
    seed: int = 0

    def __post_init__(self):
        checks.at_least(self, 1, "micro_batch")
        checks.above(self, 0, "epochs")
        checks.in_range(self, 0, 2**31, "seed", open_right=True)

    @property
    def num_micro_batches(self) -> int:
        """How many parts of the batch the encoder goes over; 1: the batch is not divided."""
        return 1 if self.micro_batch is None else self.batch_size // self.micro_batch

    def check_devices(self, num_devices: int) -> None:
        """Raises a ValueError unless batch and micro-batches split evenly over the devices."""
        parallel.check_batch_size(self.batch_size, num_devices)
        if self.micro_batch is None:
            return
        sizes = [
            size
            for size in range(num_devices, self.batch_size + 1, num_devices)
            if self.batch_size % size == 0
        ]
        if self.micro_batch not in sizes:
            below = [size for size in sizes if size < self.micro_batch][-1:]
            above = [size for size in sizes if size > self.micro_batch][:1]
            raise ValueError(
                f"training.micro_batch: must divide the batch of {self.batch_size} into parts that "
                f"{num_devices} devices share equally; got {self.micro_batch}. Nearest: "
                f"{' or '.join(map(str, below + above))}."
            )

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
        backend: how the step is spread over devices: jit, pmap or shard_map.
        shard: what is divided among the devices instead of copied to each: none, the optimizer's
            state, or the parameters too; with jit only.
        device_memory_gb: what a device has, 10^9 bytes; a run that would take more is refused. By
            default the device is asked, and a CPU does not say.
        peak_teraflops: what a device can do, 10^12 operations a second, of which rows say what the
            run makes use of ("mfu"). By default what its maker states, where that is known here.
        log_every: steps between two rows of metrics.
        checkpoint_every: steps between two checkpoints; the last step is always saved.
        keep_checkpoints: newest checkpoints kept, beside the one with the lowest loss.
        tensorboard: write TensorBoard event files beside the JSON lines.
        wandb: project of Weights & Biases that gets the rows too.
        mlflow: experiment of MLflow that gets the rows too.
        collapse: when the run counts as collapsed, and what happens then.
        probe: what is judged of the features while the encoder learns, by labels that it is not
            shown: a linear classifier (linear), nearest neighbours (knn).
        probe_every: steps between two judgements, and one at the end.
        accept_changed_data: go on where the data set is another one than the run began with, and
            say what that changes; without it such a run is refused.
        watchers: further watchers, of a config file's choice; not recorded.
    """

    OPTION: ClassVar[str] = "run"

    backend: parallel.Backend = "jit"
    shard: sharding.Shard = "none"
    device_memory_gb: float | None = None
    peak_teraflops: float | None = None
    log_every: int = 20
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    tensorboard: bool = False
    wandb: str | None = None
    mlflow: str | None = None
    collapse: CollapseConfig = CollapseConfig()
    probe: tuple[ProbeKind, ...] = ()
    probe_every: int = 200
    accept_changed_data: bool = False
    watchers: tuple[WatcherConfig, ...] = ()

    def __post_init__(self):
        if self.shard != "none" and self.backend != "jit":
            raise ValueError(
                f"run.shard: must be none where every device has a copy of the state; got "
                f"{self.shard} under {self.backend}. Use --run.backend jit."
            )
        checks.above(self, 0, "device_memory_gb", "peak_teraflops")
        checks.at_least(self, 1, "log_every", "checkpoint_every", "keep_checkpoints", "probe_every")
        for kind in self.probe:
            checks.choice(self, get_args(ProbeKind), probe=kind)

    def unused(self) -> dict[str, str]:
        """Of what judges probes, what is needless where there are none."""
        return {} if self.probe else {"probe_every": "it takes --run.probe linear or knn"}
