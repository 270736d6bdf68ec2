"""What is evaluated: an encoder, a checkpoint, layers and splits."""

import dataclasses
from typing import Literal

from jaxssl import checks, pooling
from jaxssl.evaluation import layers
from jaxssl.types import Features

EncoderKind = Literal["trained", "random", "pixels", "pca", "counts"]
NETWORKS: tuple[EncoderKind, ...] = ("trained", "random")
# What there is to evaluate, by the column that an encoder is fed.
KINDS: dict[str, tuple[EncoderKind, ...]] = {
    "image": ("trained", "random", "pca", "pixels"),
    "tokens": ("trained", "random", "counts"),
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is evaluated, and on what.

    Attributes:
        encoder: the trained encoder; the same network with random weights; raw pixels, or their
            principal components, as many as the encoder has features; of texts, counts of tokens.
        step: checkpoint; the newest by default.
        stage: probe the output of this stage or block instead of the pooled features; negative
            numbers count from the last.
        stages: measure every stage or block too, beside the pooled features.
        grid: average the map of a stage over a grid of so many cells a side instead of all of it;
            auto takes the finest that leaves max-features. Instead of the pooled features the last
            stage is then measured.
        max_features: features of a layer at most with --grid auto.
        class_tokens: of a ViT, the class tokens of so many last blocks, concatenated (DINO).
        patch_mean: with the mean of the patch tokens behind the class tokens.
        train_split: what probes are fitted to; by default what pretraining learned from, or train
            where that holds the test images.
        test_split: what is predicted; by default the test split of the run.
        seed: of the part of the training split held out by linear-eval.
        weights_seed: of the random encoder's weights.
        data_path: where the data set is, if not where pretraining found it.
        batch_size: images encoded at a time.
    """

    encoder: EncoderKind = "trained"
    step: int | None = None
    stage: int | None = None
    stages: bool = True
    grid: int | Literal["auto"] | None = None
    max_features: int = pooling.MAX_FEATURES
    class_tokens: int | None = None
    patch_mean: bool = False
    train_split: str | None = None
    test_split: str | None = None
    seed: int = 0
    weights_seed: int = 0
    data_path: str | None = None
    batch_size: int = 500

    def __post_init__(self):
        checks.at_least(self, 1, "batch_size", "max_features", "class_tokens")
        checks.at_least(self, 1, grid=None if self.grid == "auto" else self.grid)
        if not self.is_network:
            for name in ("stage", "grid", "class_tokens"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}: {self.encoder} has no stages; got {getattr(self, name)}. Leave "
                        f"--{name.replace('_', '-')} out."
                    )
        if self.class_tokens is not None and (self.stage is not None or self.grid is not None):
            raise ValueError(
                "class_tokens: must stand alone, as features of their own; got --stage or --grid "
                "beside them. Evaluate twice."
            )
        if self.patch_mean and self.class_tokens is None:
            raise ValueError(
                "patch_mean: must stand behind class tokens; got none. Add --class-tokens, or "
                "leave --patch-mean out."
            )

    @property
    def is_network(self) -> bool:
        """Whether there is a network, and so layers to choose from."""
        return self.encoder in NETWORKS

    def check_fits(self, column: str) -> None:
        """Refuses an encoder that there is not for what a run's encoder is fed.

        Args:
            column: the name of its first input.

        Raises:
            ValueError: with those that there are.
        """
        kinds = KINDS.get(column, NETWORKS)
        if self.encoder not in kinds:
            raise ValueError(
                f"encoder: must be one of {', '.join(kinds)} for an encoder that is fed "
                f'"{column}"; got {self.encoder}.'
            )

    def choose(self, shapes: Features) -> layers.Choice:
        """The layers of an encoder that are measured; see ``layers.choose``."""
        return layers.choose(
            shapes,
            stage=self.stage,
            stages=self.stages,
            grid=self.grid,
            max_features=self.max_features,
            class_tokens=self.class_tokens,
            patch_mean=self.patch_mean,
        )
