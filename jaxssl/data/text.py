"""A data set of texts, as windows of tokens."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from jaxssl import checks
from jaxssl import vocabulary as vocabularies
from jaxssl.data import arrays, documents, tokenizers

if TYPE_CHECKING:
    from jaxssl.inputs import Input

TOKENS = "tokens"


@dataclasses.dataclass(frozen=True)
class TextData:
    """A data set of texts; plain values only, so that it survives JSON.

    The documents of a split, each after a separator, are one stream of tokens, which is cut into
    windows without overlap or padding; what is left at the end is dropped. The class of a window is
    that of the document its middle is in.

    Attributes:
        path: "python", the sources and help texts of Python's standard library; a file (.txt .md
            .rst .py, or rows with a "text" and perhaps a "label": .jsonl .parquet); or a directory
            of such files, whose folders are classes.
        length: L, tokens of a window.
        tokenizer: "bytes", or the path of a tokenizer.json of Hugging Face's tokenizers.
        train_split: split that pretraining and probes learn from; "all" is every document.
        test_split: split that evaluation measures on. Splits hold whole documents.
        num_threads: unused, texts are in memory.
    """

    path: str
    length: int = 128
    tokenizer: str = tokenizers.BYTES
    train_split: str = "train"
    test_split: str = "test"
    num_threads: int = 1
    unit: ClassVar[str] = "windows"

    def __post_init__(self):
        checks.at_least(self, 2, "length")
        checks.at_least(self, 1, "num_threads")

    @property
    def vocabulary(self) -> int:
        """M, with the two special tokens."""
        return tokenizers.open_tokenizer(self.tokenizer).vocabulary

    def open(self, split: str) -> arrays.ArraySource:
        """One split: "tokens", uint16 or uint32 [N, L], and "label" where every document has one.

        Raises:
            ValueError: nothing there that can be read, no such split, or less than one window.
        """
        # Classes are those of the whole data set, so that all splits number them alike.
        read = documents.read_split(self.path, split)
        classes = self._classes(read)
        columns = self._windows(read, classes)
        return arrays.from_columns(columns, class_names=classes, name=self.path)

    def matching(self, inputs: Sequence["Input"]) -> Self:
        """The same texts in windows of the length that an encoder is fed.

        Raises:
            ValueError: for an encoder that is not fed tokens [L].
        """
        if len(inputs) != 1 or inputs[0].name != TOKENS or len(inputs[0].shape) != 1:
            given = ", ".join(f"{each.name} {list(each.shape)}" for each in inputs)
            raise ValueError(
                f'TextData: the encoder must be fed "{TOKENS}" [L]; got {given or "nothing"}. Name '
                "data of its own kind."
            )
        return dataclasses.replace(self, length=inputs[0].shape[0])

    def decode(self, tokens: np.ndarray) -> str:
        """Tokens [n] as text; special ones as signs."""
        return tokenizers.open_tokenizer(self.tokenizer).decode(tokens)

    def _classes(self, read: Sequence[documents.Document]) -> tuple[str, ...] | None:
        """The classes of the whole data set in order; None where a document has none."""
        if any(each.label is None for each in read):
            return None
        whole = documents.read_split(self.path, "all")
        return tuple(sorted({each.label for each in whole if each.label is not None}))

    def _windows(
        self, read: Sequence[documents.Document], classes: tuple[str, ...] | None
    ) -> dict[str, np.ndarray]:
        tokenizer = tokenizers.open_tokenizer(self.tokenizer)
        separator = [vocabularies.separator(tokenizer.vocabulary)]
        encoded = tokenizer.encode([each.text for each in read])
        dtype = np.uint16 if tokenizer.vocabulary <= 2**16 else np.uint32
        stream = np.concatenate(
            [part for text in encoded for part in (separator, text)], dtype=dtype, casting="unsafe"
        )
        count = len(stream) // self.length
        if not count:
            raise ValueError(
                f"TextData: {self.path} must hold at least one window of {self.length} tokens; got "
                f"{len(stream):,} tokens. Set --data.length lower."
            )
        columns = {TOKENS: stream[: count * self.length].reshape(count, self.length)}
        if classes is None:
            return columns
        ends = np.cumsum([len(text) + 1 for text in encoded])
        middles = np.arange(count) * self.length + self.length // 2
        numbers = np.array([classes.index(each.label) for each in read], np.int32)
        return columns | {arrays.LABEL: numbers[np.searchsorted(ends, middles, side="right")]}
