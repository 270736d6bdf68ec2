"""A layout: how a kind of published file names and shapes the weights of a kind of encoder."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxssl import inputs
from jaxssl.interop.ties import Tie
from jaxssl.types import EncoderConfig, PyTree

Tensors = Mapping[str, np.ndarray]
IGNORED = re.compile(r".*\.num_batches_tracked")  # a counter that no output depends on


class Guess(NamedTuple):
    """What the shapes of a file's tensors say of its encoder.

    Attributes:
        config: of the encoder, with mean 0 and std 1.
        image_size: of the images that it was made for, pixels; None where the weights do not say.
        channels: of those images.
    """

    config: EncoderConfig
    image_size: int | None
    channels: int

    @property
    def fed(self) -> inputs.Inputs:
        """What the encoder is fed; 224 pixels where the weights do not say."""
        return inputs.of_image(self.image_size or 224, self.channels)


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """One way to name and shape the weights of one kind of encoder.

    Attributes:
        name: what it is called in messages and records.
        kind: the class of the encoder's config.
        programs: who reads such a file: "timm", "torchvision", "hf"; none of them where it is read
            only, not written.
        anchor: a tensor that each such file has.
        trunk: a pattern of names of the encoder itself, every one of which must be known; others
            are heads and decoders, and may be there.
        guess: tensors to what they say of the encoder; may raise KeyError, IndexError or ValueError
            where the tensors are not of this layout.
        ties: (config, fed) to the ties of all leaves; raises ValueError where this layout cannot
            say what the config is.
        antialias: of a config, whether its source resizes a table of positions with it; see
            ``resizing.resize``.
    """

    name: str
    kind: type
    programs: tuple[str, ...]
    anchor: str
    trunk: str
    guess: Callable[[Tensors], Guess]
    ties: Callable[[Any, inputs.Inputs], Iterable[Tie]]
    antialias: Callable[[Any], bool] = lambda config: False

    def read(self, tensors: Tensors, guess: Guess) -> PyTree:
        """Variables of the encoder, float32, of a file's tensors; inverse of ``write``."""
        variables: dict = {}
        for tie in self.ties(guess.config, guess.fed):
            leaves = tie.read([np.asarray(tensors[name], np.float32) for name in tie.tensors])
            for path, leaf in zip(tie.leaves, leaves, strict=True):
                put(variables, path, np.asarray(leaf, order="C"))
        return variables

    def write(self, variables: PyTree, guess: Guess) -> dict[str, np.ndarray]:
        """A file's tensors, float32, of the variables of an encoder; inverse of ``read``."""
        leaves = flat(variables)
        tensors = {}
        for tie in self.ties(guess.config, guess.fed):
            values = tie.write([np.asarray(leaves[path]) for path in tie.leaves])
            for name, value in zip(tie.tensors, values, strict=True):
                tensors[name] = np.asarray(value, order="C")
        return tensors

    def shapes(self, guess: Guess) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor that such a file must hold."""
        leaves = _zeros(guess.config, guess.fed)  # type: ignore[arg-type]  # frozen: has a hash
        return {
            name: value.shape
            for tie in self.ties(guess.config, guess.fed)
            for name, value in zip(
                tie.tensors, tie.write([leaves[path] for path in tie.leaves]), strict=True
            )
        }

    def differences(self, tensors: Tensors, guess: Guess) -> list[str]:
        """What keeps these tensors from being read: missing ones, other shapes, unknown parts."""
        expected = self.shapes(guess)
        differing = []
        for name in sorted(expected.keys() | tensors.keys()):
            if name not in tensors:
                differing.append(f"{name}: nothing there, expected {_shown(expected[name])}")
            elif name not in expected:
                shape = tensors[name].shape
                is_counter = IGNORED.fullmatch(name) or 0 in shape
                if re.match(self.trunk, name) and not is_counter:
                    differing.append(f"{name}: {_shown(shape)} there, expected nothing")
            elif tensors[name].shape != expected[name]:
                there, wanted = tensors[name].shape, expected[name]
                differing.append(f"{name}: {_shown(there)} there, expected {_shown(wanted)}")
        return differing


@functools.lru_cache(maxsize=32)  # several layouts may guess the same, and each is asked twice
def _zeros(config: EncoderConfig, fed: inputs.Inputs) -> dict[str, np.ndarray]:
    """The leaves of an encoder by their paths, all zero, in no memory."""
    module = config.build()
    (image,) = inputs.shapes(fed).values()
    like = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    return flat(jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), like))


def put(tree: dict, path: str, leaf: np.ndarray) -> None:
    """Puts a leaf into nested dicts, by its path; inverse of ``flat``."""
    *way, last = path.split("/")
    for name in way:
        tree = tree.setdefault(name, {})
    tree[last] = leaf


def flat(tree: PyTree, prefix: str = "") -> dict[str, np.ndarray]:
    """Path to leaf of nested dicts, "params/norm/scale"."""
    found: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        found |= flat(value, f"{path}/") if isinstance(value, Mapping) else {path: value}
    return found


def _shown(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
