"""Jigsaw: in which of a set of known orders do the nine tiles lie?"""

import dataclasses
import functools
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import color, policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import towers
from jaxssl.pretext import patches, permutations, shortcuts
from jaxssl.types import Array, Example, Features, Method, Picture, PyTree, Question, Views


@dataclasses.dataclass(frozen=True)
class Jigsaw:
    """Jigsaw puzzles of 3 x 3 tiles, solved by naming the permutation.

    A tile is cut at random from each of 3 x 3 cells, the tiles are laid out in one of a set of
    orders (``permutations.permutation_set``), drawn uniformly on every visit, and each goes through
    the same encoder alone; the head sees all nine: loss = cross_entropy(head(tile 1 … tile 9),
    index of the permutation). Place i shows the tile from cell permutations[label][i].

    Against shortcuts: the gap between tiles, each tile's own mean and contrast taken away, some
    images grey, channels shifted against each other. Images of one channel are grey already, and
    have no channels to shift against each other: for them these two do nothing.

    Different from the paper: batch norm, and one linear layer on the towers (as VISSL).

    Attributes:
        augment: of the whole image, before tiles are cut; the cells take 3 · cell_size of it. By
            default 255 pixels of an image of 256, not mirrored.
        cell_size: side of a cell, pixels.
        tile_size: side of a tile, pixels; at most cell_size - channel_shift.
        num_permutations: size of the set, which is the number of classes.
        criterion: how the set is chosen: "mean" or "minimum", see ``permutations.permutation_set``.
        normalize_tiles: give each tile the same mean and standard deviation.
        grey_prob: probability that an image is grey.
        channel_shift: largest shift of a channel of a tile, pixels.
        tower_width: features that the head reduces a tile to.

    Source: Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw
        Puzzles, 2016, arXiv:1603.09246, section 3 and 4.2; cells of 85 pixels as in its ablations
        and program, crop and no mirror from train_val_cfn_jps.prototxt and data_transformer.cpp of
        github.com/MehdiNoroozi/JigsawPuzzleSolver, width of the towers as in VISSL.
    """

    PIXELS: ClassVar[tuple[str, ...]] = ("cell_size", "tile_size")

    augment: policies.CropFlip = policies.CropFlip.fixed_scale(255, image_size=256, flip_prob=0.0)
    cell_size: int = 85
    tile_size: int = 64
    num_permutations: int = 100
    criterion: Literal["mean", "minimum"] = "mean"
    normalize_tiles: bool = True
    grey_prob: float = 0.3
    channel_shift: int = 2
    tower_width: int = 1000

    def __post_init__(self):
        if self.channel_shift < 0 or self.tile_size + self.channel_shift > self.cell_size:
            raise ValueError(
                "Jigsaw: tile_size + channel_shift must be at most cell_size, and channel_shift at "
                f"least 0 pixels; got {self.tile_size} + {self.channel_shift} in a cell of "
                f"{self.cell_size}. Use smaller tiles or channel_shift 0."
            )
        checks.in_range(self, 0, 1, "grey_prob", fix="Use 0 to switch it off.")

    @classmethod
    def upgrade(cls, fields: dict) -> dict:
        """Records of earlier versions hold the set of permutations, which other fields decide."""
        return {name: value for name, value in fields.items() if name != "permutations"}

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: a number of permutations that there is no set of; while tracing, cells that
                do not fit the image.
        """
        orders = permutations.permutation_set(self.num_permutations, criterion=self.criterion)
        network = self._network(encoder, axis_name)

        def tile(key: Array, patch: Array) -> Array:
            patch = shortcuts.shift_channels(key, patch, size=self.tile_size)
            return shortcuts.normalize_tile(patch) if self.normalize_tiles else patch

        def view(key: Array, example: Example) -> Views:
            augment_key, grey_key, grid_key, label_key, tile_key = jax.random.split(key, 5)
            image = self.augment(augment_key, example["image"])
            if image.shape[-1] == 3:
                is_grey = jax.random.uniform(grey_key) < self.grey_prob
                image = color.apply(image, color.select(is_grey, color.grayscale()))
            size = self.tile_size + (self.channel_shift if image.shape[-1] > 1 else 0)
            corners = patches.grid_corners(
                grid_key,
                *image.shape[:2],
                size=size,
                pitch=self.cell_size,
                spread=self.cell_size - size,
            )
            label = jax.random.randint(label_key, (), 0, self.num_permutations, jnp.int32)
            order = jnp.array(orders, jnp.int32)[label]
            tiles = patches.cut(image, corners[order], size=size)
            tiles = jax.vmap(tile)(jax.random.split(tile_key, patches.NUM_CELLS), tiles)
            return {"image": image, "tiles": tiles, "label": label}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            # Whole images, since a learned position embedding is made for the size it is given.
            return network.init(key, jnp.repeat(views["image"], patches.NUM_CELLS, axis=0))

        def loss(params, state, views, key, clock):
            del key, clock
            logits, state = network.apply(params, state, _flat(views["tiles"]))
            values = losses.cross_entropy(logits, views["label"])
            accuracy = jnp.mean((logits.argmax(-1) == views["label"]).astype(jnp.float32))
            return values, (state, {"accuracy": accuracy})

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, network, orders),
            ask=self._ask,
            answer=functools.partial(_answer, network),
        )

    def _show(
        self,
        network: functional.WithHead,
        orders: tuple[tuple[int, ...], ...],
        params: PyTree,
        state: PyTree,
        views: Views,
    ) -> list[Picture]:
        """The image, the puzzle, and the tiles laid where the predicted permutation says.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1]; tiles are as the network sees them,
            clipped to that range, on black.
        """
        labels = views["label"]
        predicted = _answer(network, params, state, views).argmax(-1)
        right = int((predicted == labels).sum())
        chosen = jnp.array(orders, jnp.int32)[predicted]
        unordered = jnp.broadcast_to(
            jnp.arange(patches.NUM_CELLS, dtype=jnp.int32)[None], chosen.shape
        )

        def lay(image: Array, tiles: Array, cells: Array) -> Array:
            places = self.cell_size * jnp.stack(
                [cells // patches.SIDE, cells % patches.SIDE], axis=-1
            )
            margin = (self.cell_size - self.tile_size) // 2
            canvas = patches.paste(jnp.zeros_like(image), tiles, places + margin)
            return jnp.clip(canvas, 0, 1)

        parts = (views["image"], views["tiles"])
        return [
            ("view", views["image"]),
            ("tiles, as the encoder sees each", jax.vmap(lay)(*parts, unordered)),
            (
                f"tiles laid as predicted ({right} of {len(labels)} right)",
                jax.vmap(lay)(*parts, chosen),
            ),
        ]

    def _ask(self, views: Views) -> Question:
        """In which order are nine tiles [B, 9, P, P, C]?"""
        return Question(views["tiles"], views["label"], self.num_permutations)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        head = towers.Towers(
            self.tower_width,
            self.num_permutations,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, head, read=_by_puzzle)


def _answer(network: functional.WithHead, params: PyTree, state: PyTree, views: Views) -> Array:
    """Logits [B, num_permutations] float32 of the orders, in evaluation mode."""
    return network.predict(params, state, _flat(views["tiles"]))


def _flat(tiles: Array) -> Array:
    return tiles.reshape(-1, *tiles.shape[2:])


def _by_puzzle(features: Features) -> Array:
    """[B, 9, D] of the features [9B, D] of all tiles."""
    return features.pooled.reshape(-1, patches.NUM_CELLS, features.pooled.shape[-1])
