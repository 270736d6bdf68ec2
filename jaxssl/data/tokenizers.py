"""From text to token numbers and back: bytes, or a file of Hugging Face's tokenizers."""

import functools
import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from jaxssl import checks, files
from jaxssl import vocabulary as vocabularies

if TYPE_CHECKING:
    import tokenizers

BYTES = "bytes"
SEPARATOR_SIGN, MASK_SIGN = "¶", "█"  # how the two special tokens are shown


class Tokenizer(Protocol):
    """What turns texts into numbers 0 … M-3; M-2 and M-1 are special (``jaxssl.vocabulary``).

    Attributes:
        vocabulary: M.
    """

    vocabulary: int

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """The tokens of each text, integers [n]."""

    def decode(self, tokens: np.ndarray) -> str:
        """The text of tokens [n], special ones as signs; what is no text as U+FFFD."""


class Bytes:
    """Every byte of a text is a token."""

    vocabulary = vocabularies.BYTES

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """See ``Tokenizer``."""
        return [np.frombuffer(text, np.uint8) for text in texts]

    def decode(self, tokens: np.ndarray) -> str:
        """See ``Tokenizer``."""
        signs = {
            vocabularies.separator(self.vocabulary): SEPARATOR_SIGN.encode(),
            vocabularies.mask(self.vocabulary): MASK_SIGN.encode(),
        }
        pieces = [signs.get(token) or bytes([token]) for token in np.asarray(tokens).tolist()]
        return b"".join(pieces).decode("utf-8", errors="replace")


class FromFile:
    """The tokenizer of a tokenizer.json, without the special tokens that it would add.

    Args:
        path: of the file.

    Raises:
        ModuleNotFoundError: the package tokenizers is not installed.
        ValueError: no such file, or not one of a tokenizer.
    """

    def __init__(self, path: str):
        self._tokenizer = _load(path)
        self.vocabulary = self._tokenizer.get_vocab_size() + vocabularies.NUM_SPECIAL

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """See ``Tokenizer``; bytes that are no UTF-8 become U+FFFD."""
        words = [text.decode("utf-8", errors="replace") for text in texts]
        encoded = self._tokenizer.encode_batch(words, add_special_tokens=False)
        return [np.array(each.ids, np.uint32) for each in encoded]

    def decode(self, tokens: np.ndarray) -> str:
        """See ``Tokenizer``."""
        signs = {
            vocabularies.separator(self.vocabulary): SEPARATOR_SIGN,
            vocabularies.mask(self.vocabulary): MASK_SIGN,
        }
        parts, run = [], []
        for token in [*np.asarray(tokens).tolist(), None]:
            if token is not None and token not in signs:
                run.append(token)
                continue
            parts += [self._tokenizer.decode(run, skip_special_tokens=False), signs.get(token, "")]
            run = []
        return "".join(parts)


@functools.cache  # a file is not asked again in the middle of a run
def open_tokenizer(name: str) -> Tokenizer:
    """Bytes by that name, or the tokenizer of a file, read once."""
    return Bytes() if name == BYTES else FromFile(name)


def train(texts: Sequence[bytes], *, vocabulary: int, path: pathlib.Path) -> FromFile:
    """Learns byte pairs from texts and writes their tokenizer.json; every text can be encoded.

    Args:
        texts: UTF-8; bytes that are none become U+FFFD.
        vocabulary: M, with the two special tokens; at least 258.
        path: of the file.

    Returns:
        The tokenizer; its vocabulary is smaller where the texts have fewer pairs.

    Raises:
        ModuleNotFoundError: the package tokenizers is not installed.

    Source: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016,
        arXiv:1508.07909; over bytes: Radford et al. 2019, sec. 2.2.
    """
    checks.at_least("train_tokenizer", vocabularies.BYTES, vocabulary=vocabulary)
    package = _package(str(path))
    learned = package.Tokenizer(package.models.BPE())
    learned.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=vocabulary - vocabularies.NUM_SPECIAL,
        initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned.train_from_iterator((text.decode("utf-8", errors="replace") for text in texts), trainer)
    files.write_whole(path, learned.to_str())
    return FromFile(str(path))


def _package(name: str) -> ModuleType:
    """The package tokenizers, which the tokenizer of that name needs."""
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"data.tokenizer {name} must find the package tokenizers installed; got no such "
            "module. Install jaxssl[text], or take bytes."
        ) from error
    return tokenizers


def _load(path: str) -> "tokenizers.Tokenizer":
    package = _package(path)
    place = pathlib.Path(path).expanduser()
    if not place.is_file():
        raise ValueError(
            f'data.tokenizer must be "{BYTES}" or a tokenizer.json; got {path}, where there '
            "is no file."
        )
    try:
        return package.Tokenizer.from_file(str(place))
    except Exception as error:  # the package raises bare Exception
        raise ValueError(
            f"data.tokenizer {path} must be a file that Hugging Face's tokenizers wrote; got "
            f"one it cannot read ({error})."
        ) from error
