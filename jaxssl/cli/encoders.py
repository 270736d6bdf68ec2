"""The encoders that one command evaluates, from its options."""

from pathlib import Path
from typing import Protocol

from jaxssl import checkpoints, inputs
from jaxssl.evaluation.subject import KINDS, NETWORKS, EncoderKind, Subject


class Options(Protocol):
    """What a command that evaluates several encoders has; the other options are ``Subject``'s."""

    @property
    def run(self) -> Path:
        """Run directory."""

    @property
    def step(self) -> int | None:
        """Checkpoint; the newest where there is none."""

    @property
    def encoders(self) -> tuple[EncoderKind, ...] | None:
        """Which; all where there is none."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of random weights."""


def list_subjects(options: Options, layers: tuple[str, ...]) -> list[Subject]:
    """What is evaluated, in order: each encoder, a random one once for each seed.

    Args:
        options: the command's.
        layers: those of its options that choose layers, which only networks have.
    """
    shared = ("step", "data_path", "train_split", "test_split")
    found = []
    for encoder in options.encoders or _there_are(options):
        names = (*shared, *layers) if encoder in NETWORKS else shared
        fields = {name: getattr(options, name) for name in names}
        for seed in options.seeds if encoder == "random" else (0,):
            found.append(Subject(encoder, weights_seed=seed, **fields))
    return found


def _there_are(options: Options) -> tuple[EncoderKind, ...]:
    """Every encoder that there is for what the run's own is fed."""
    fed = inputs.of_meta(checkpoints.read_meta(options.run, options.step))
    return KINDS.get(fed[0].name, NETWORKS)
