"""Which features of an encoder are measured: names, and how each is read from its output."""

import dataclasses
from typing import Literal

from jaxssl import pooling
from jaxssl.types import Array, Features


@dataclasses.dataclass(frozen=True)
class Layer:
    """One vector for each image, read from an encoder's Features.

    Attributes:
        stage: the stage (ResNet, ConvNeXt) or block (ViT), from 0; None: what the encoder pools.
        grid: side of the grid that the stage's map is averaged to; None: its mean.
        class_tokens: of how many last blocks the class tokens are concatenated (DINO); excludes
            the others.
        patch_mean: the mean of the patch tokens stands behind these.
    """

    stage: int | None = None
    grid: int | None = None
    class_tokens: int | None = None
    patch_mean: bool = False

    @property
    def name(self) -> str:
        """What results call it, such as "stage 2 as a 4 x 4 grid"."""
        if self.class_tokens is not None:
            last = "last block" if self.class_tokens == 1 else f"last {self.class_tokens} blocks"
            mean = ", mean of the patch tokens" if self.patch_mean else ""
            return f"class tokens of the {last}{mean}"
        if self.stage is None:
            return "pooled"
        grid = "" if self.grid is None else f" as a {self.grid} x {self.grid} grid"
        return f"stage {self.stage}{grid}"

    def read(self, features: Features) -> Array:
        """The vectors, float32 [B, D]; inside jit, so that all else is never computed."""
        if self.class_tokens is not None:
            return pooling.class_tokens(
                features, num_blocks=self.class_tokens, patch_mean=self.patch_mean
            )
        if self.stage is not None and self.grid is not None:
            return pooling.grid_pool(features.maps[self.stage], self.grid)
        return features.pooled if self.stage is None else features.stages[self.stage]


POOLED = Layer()


@dataclasses.dataclass(frozen=True)
class Choice:
    """The layers that one evaluation measures.

    Attributes:
        main: the one that the result is about.
        stages: every stage beside it, in order; may hold ``main`` itself.
    """

    main: Layer
    stages: tuple[Layer, ...] = ()

    @property
    def all(self) -> tuple[Layer, ...]:
        """Each once, the main one first."""
        return tuple(dict.fromkeys((self.main, *self.stages)))


def choose(
    shapes: Features,
    *,
    stage: int | None = None,
    stages: bool = True,
    grid: int | Literal["auto"] | None = None,
    max_features: int = pooling.MAX_FEATURES,
    class_tokens: int | None = None,
    patch_mean: bool = False,
) -> Choice:
    """The layers of an encoder that options ask for.

    Args:
        shapes: what the encoder returns, or the shapes of it (``jax.eval_shape``).
        stage: measure this stage alone, negative numbers from the last; None: the pooled features,
            or with a grid the last stage's map.
        stages: every stage besides.
        grid: side of the grid of every map, smaller maps as they are; "auto": the largest that
            leaves at most ``max_features``, of texts means; None: means of maps.
        max_features: see ``grid``.
        class_tokens: DINO's features instead, of so many last blocks.
        patch_mean: with the mean of the patch tokens behind them.

    Raises:
        ValueError: no such stage, an asked stage's map smaller than the grid, an encoder without
            maps, or without class tokens in so many blocks.
    """
    count = len(shapes.stages)
    if class_tokens is not None:
        blocks = len(shapes.class_tokens)
        if not blocks:
            raise ValueError(
                "class_tokens: the encoder must be a ViT with a class token (pool class); got one "
                "without. Leave --class-tokens out."
            )
        if class_tokens > blocks:
            raise ValueError(
                f"class_tokens: must be at most the blocks of the encoder, {blocks}; got "
                f"{class_tokens}."
            )
        return Choice(Layer(class_tokens=class_tokens, patch_mean=patch_mean))
    if stage is not None and not -count <= stage < count:
        raise ValueError(f"stage: must be a stage of the encoder, 0 to {count - 1}; got {stage}.")
    if grid is not None and not shapes.maps:
        raise ValueError("grid: the encoder must return maps; got one without. Leave --grid out.")

    def gridded(number: int) -> Layer:
        if grid is None:
            return Layer(number)
        if len(shapes.maps[number].shape) != 4:
            if grid == "auto":
                return Layer(number)
            raise ValueError(
                f"grid: maps must have rows and columns; got those of texts, "
                f"{list(shapes.maps[number].shape[1:])}. Leave --grid out."
            )
        _, height, width, features = shapes.maps[number].shape
        if grid == "auto":
            side = pooling.largest_side(height, width, features, max_features)
        else:
            side = min(grid, height, width)
        return Layer(number, side)

    if stage is not None:
        layer = gridded(stage % count)
        if grid not in (None, "auto", layer.grid):
            raise ValueError(
                f"grid: must be at most the side of the map of stage {layer.stage}, {layer.grid}; "
                f"got {grid}. Use --grid auto."
            )
        return Choice(layer)
    main = POOLED if grid is None else gridded(count - 1)
    return Choice(main, tuple(map(gridded, range(count))) if stages else ())
