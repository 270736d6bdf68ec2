"""``train-tokenizer PATH --out FILE``: learn a vocabulary of byte pairs from texts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.data import documents, tokenizers


@dataclasses.dataclass(frozen=True)
class TrainTokenizer:
    """Learns byte pairs from the training documents of a path; writes a tokenizer.json.

    Attributes:
        path: a file, a directory or "python", as --data.path of recipes of text.
        out: the file that is written.
        vocabulary: tokens, with the separator and the mask.
        train_split: whose documents are read.
    """

    path: Annotated[str, tyro.conf.Positional]
    out: Path
    vocabulary: int = 4096
    train_split: str = "train"


def run(words: Sequence[str]) -> None:
    """``jaxssl train-tokenizer PATH --out FILE``."""
    options = arguments.parse(TrainTokenizer, words, prog="jaxssl train-tokenizer")
    texts = [each.text for each in documents.read_split(options.path, options.train_split)]
    made = tokenizers.train(texts, vocabulary=options.vocabulary, path=options.out)
    held_out = [each.text for each in documents.read_split(options.path, "test")]
    count = sum(map(len, made.encode(held_out)))
    print(
        f"{options.out}: {made.vocabulary:,} tokens, {sum(map(len, held_out)) / count:.2f} bytes "
        f"each on the test split; use it with --data.tokenizer {options.out} --encoder.vocabulary "
        f"{made.vocabulary}"
    )
