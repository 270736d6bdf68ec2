"""An encoder as it leaves: in float32, block by block, and what its images go through."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxssl import checkpoints, inputs, models, named
from jaxssl.interop import recognition
from jaxssl.interop.layout import Guess
from jaxssl.types import PyTree


class Outgoing(NamedTuple):
    """What is exported.

    Attributes:
        guess: config and what the encoder is fed.
        variables: of it, NumPy arrays.
    """

    guess: Guess
    variables: PyTree

    @property
    def config(self) -> Any:
        """Of the encoder."""
        return self.guess.config

    @property
    def preprocessing(self) -> dict:
        """What an image goes through before the network, JSON values; as evaluation does it."""
        channels = self.guess.channels
        mean, std = (
            list(values) * (channels if len(values) == 1 else 1)
            for values in (self.config.mean, self.config.std)
        )
        return _described(self.guess.image_size, channels, mean, std)

    def features(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Pooled features and tokens of float32 images in [0, 1]."""
        return run(self.config.build(), self.variables, images)


class Program(NamedTuple):
    """Who an encoder is exported for.

    Attributes:
        name: of ``--to``.
        files: the files of an export by their names, without those of weights, of an encoder; may
            raise ValueError for one that the program has no network for.
        adds: tensors that the program's files have beside the encoder's own, by their names.
        usage: what to type to use it, with {out} for the folder, of an encoder.
    """

    name: str
    files: Callable[[Outgoing], dict[str, dict]]
    adds: Callable[[Outgoing], dict[str, np.ndarray]]
    usage: Callable[[Outgoing], str]


def of_encoder(encoder: checkpoints.RestoredEncoder) -> Outgoing:
    """An encoder of a run, made ready to leave.

    Raises:
        ValueError: an encoder of something else than one square image, or that sees it in Lab.
    """
    config: Any = encoder.module.config
    variables = encoder.variables
    side = inputs.image_side(encoder.inputs)
    kinds = (models.ResNetConfig, models.ViTConfig, models.ConvNeXtConfig)
    if side is None or not isinstance(config, kinds):
        raise ValueError(
            "export: the encoder must be a ResNet, ViT or ConvNeXt of one square image; got a "
            f"{named.short(config)} of {', '.join(name for name, *_ in encoder.inputs)}."
        )
    if config.color_space != "rgb":
        raise ValueError(
            "export: the encoder must see images as they are, color_space rgb, to leave for other "
            f"programs; got {config.color_space}. Export it to stablehlo."
        )
    config = dataclasses.replace(config, dtype="float32")
    if getattr(config, "scan_layers", False):
        config = dataclasses.replace(config, scan_layers=False)
        variables = {**variables, "params": models.unstack_layers(variables["params"])}
    return Outgoing(Guess(config, *side), jax.tree.map(np.asarray, variables))


def write_tensors(outgoing: Outgoing, program: str) -> dict[str, np.ndarray]:
    """The tensors of an encoder in the first layout of a program that can say them.

    Raises:
        ValueError: no layout of this program can; says why of each.
    """
    reasons = []
    for layout in recognition.all_layouts().values():
        if program in layout.programs and isinstance(outgoing.config, layout.kind):
            try:
                return layout.write(outgoing.variables, outgoing.guess)
            except ValueError as error:
                reasons.append(f"{layout.name}: {error}")
    kind = named.short(outgoing.config)
    raise ValueError(" ".join(reasons) or f"export: {program} has no {kind} that jaxssl's can be.")


def run(module: Any, variables: PyTree, images: np.ndarray) -> dict[str, np.ndarray]:
    """Pooled features and tokens of a linen module."""
    made = jax.jit(lambda variables, x: module.apply(variables, x, train=False)[:2])
    pooled, tokens = made(variables, images)
    return {"pooled": np.asarray(pooled), "tokens": np.asarray(tokens)}


def preprocessing_within(encoder: checkpoints.RestoredEncoder) -> dict:
    """What an image goes through before a computation that has mean and deviation in itself."""
    size, channels = inputs.square_side(encoder.inputs)
    described = _described(size, channels, [0.0] * channels, [1.0] * channels)
    return described | {"encoder": named.to_json(encoder.module.config)}


def _described(size: int | None, channels: int, mean: list[float], std: list[float]) -> dict:
    return {
        "image_size": size,
        "channels": channels,
        "resize": "short side to image_size, bicubic, antialiased; centre crop",
        "range": [0.0, 1.0],
        "mean": mean,
        "std": std,
    }
