"""A data set of images with a text each."""

import dataclasses
import hashlib
from collections.abc import Hashable, Sequence

import numpy as np

from jaxssl import checks
from jaxssl import vocabulary as vocabularies
from jaxssl.data import arrays, captions, crops, imagefiles, opening, text, tokenizers
from jaxssl.data import source as source_lib
from jaxssl.data.config import ImageData


@dataclasses.dataclass(frozen=True)
class PairData(ImageData):
    """A data set of images with a text each; its first fields are those of ``ImageData``.

    An example has "image" and "tokens" [L]: the text, cut to L - 1 tokens, and separators to its
    end, so that at least one ends it.

    Attributes:
        path: a directory of images, each with a .txt of the same name; a .jsonl of rows with
            "image", "text" and perhaps "label"; a .tar of NAME.jpg with NAME.txt or NAME.json; a
            directory of .jsonl or .tar; fashion-mnist-captions or photographs-captions, whose texts
            are made of the class names, and so are labels in disguise.
        image_size: height and width in pixels; other images are resized by their short side and
            cropped in the centre.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted.
        train_split: split that pretraining and probes learn from; "all" is every pair.
        test_split: split that evaluation measures on.
        data_dir: unused, TFDS has no pairs here.
        num_threads: threads that decode images; unused where the data set is in memory.
        num_workers: processes that decode for training in place of the threads.
        in_memory: decode the whole split once at the start and keep it.
        value_range: LOW HIGH, the values that are black and white in images of more than 8 bits a
            channel; None measures it.
        max_pixels: of one image file; larger ones are refused.
        max_unreadable: share of the images of a split that may be unreadable; the next pairs stand
            in for them.
        crops: who makes the random crops that views begin with; see ``ImageData``.
        length: L, tokens of a text.
        tokenizer: "bytes", or the path of a tokenizer.json of Hugging Face's tokenizers.
    """

    length: int = 64
    tokenizer: str = tokenizers.BYTES

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.at_least(self, 2, "length")

    def unused(self) -> dict[str, str]:
        """What nothing reads."""
        needless = {"data_dir": "pairs are not read from TFDS"}
        if self.path in captions.DISGUISED:
            needless["value_range"] = f"the images of {self.path} have 8 bits"
            needless["num_workers"] = f"the images of {self.path} are in memory"
            needless["max_pixels"] = f"the images of {self.path} are small"
            needless["max_unreadable"] = f"the images of {self.path} are in memory"
        return needless

    @property
    def unit(self) -> str:
        """What an example is called, in the plural."""
        return "pairs"

    @property
    def vocabulary(self) -> int:
        """M, with the two special tokens."""
        return tokenizers.open_tokenizer(self.tokenizer).vocabulary

    def open(self, split: str) -> source_lib.Source:
        """One split: "image", "tokens", and "label" where the data set has classes.

        Raises:
            ValueError: nothing there that can be read, no text, or no such split.
        """
        self.check_path()
        imagefiles.allow_pixels(self.max_pixels)
        found = captions.find(self.path)
        whole = opening.whole_of(split, found.splits)
        source = self._opened(found, whole)
        return opening.finished(self, source, split if whole != split else None)

    def encode(self, texts: Sequence[bytes], *, cut: bool = True) -> np.ndarray:
        """Texts as an encoder is fed them: uint16 or uint32 [N, L].

        Args:
            texts: UTF-8.
            cut: whether long ones are cut.

        Raises:
            ValueError: a text of L tokens or more that may not be cut.
        """
        tokenizer = tokenizers.open_tokenizer(self.tokenizer)
        dtype = np.uint16 if tokenizer.vocabulary <= 2**16 else np.uint32
        shape, separator = (len(texts), self.length), vocabularies.separator(tokenizer.vocabulary)
        tokens = np.full(shape, separator, dtype)
        for row, encoded in enumerate(tokenizer.encode(texts)):
            if len(encoded) >= self.length and not cut:
                raise ValueError(
                    f"PairData: a text must be of at most {self.length - 1} tokens; got "
                    f'{len(encoded)} in "{texts[row].decode(errors="replace")}". Say it in fewer '
                    "words."
                )
            encoded = encoded[: self.length - 1]
            tokens[row, : len(encoded)] = encoded
        return tokens

    def decode(self, tokens: np.ndarray) -> str:
        """Tokens [L] as the text they are, without the separators that end it."""
        tokenizer = tokenizers.open_tokenizer(self.tokenizer)
        is_end = tokens == vocabularies.separator(tokenizer.vocabulary)
        return tokenizer.decode(tokens[: np.argmax(is_end)] if is_end.any() else tokens)

    def _opened(self, found: captions.Found, split: str) -> "arrays.ArraySource | CaptionedImages":
        """A split that is no part of another."""
        images, texts = found.open(split)
        train = opening.whole_of(self.train_split, found.splits)
        training = None if train == split else (lambda: found.open(train).images)
        source = opening.fitted(self, images, training)
        tokens = self.encode(texts)
        fingerprint = _fingerprint(source.fingerprint, texts)
        if isinstance(source, arrays.ArraySource):
            columns = {**source.columns, text.TOKENS: tokens}
            return dataclasses.replace(source, columns=columns, fingerprint=fingerprint)
        return CaptionedImages(source, tokens, fingerprint)


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedImages(source_lib.Wrapped):
    """Images that are decoded on demand, with their texts in memory.

    Attributes:
        source: of the images.
        tokens: [N, L], of each.
        fingerprint: sha256 of the images' and of the texts.
    """

    tokens: np.ndarray = dataclasses.field(repr=False)
    fingerprint: str

    @property
    def account(self) -> source_lib.Account:
        """What is to be said of how the images were found."""
        return source_lib.account_of(self.source)

    def identities(self) -> Sequence[Hashable]:
        """Those of the images: a split may not have an image of another, whatever its text."""
        return self.source.identities()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> source_lib.Record:
        return {**self.source[index], text.TOKENS: self.tokens[index]}

    def cropped(self, index: int, cut: crops.Cut) -> source_lib.Record:
        """The same with crops of the whole image in its place."""
        whole = source_lib.whole_images(self.source)
        return {**whole.cropped(index, cut), text.TOKENS: self.tokens[index]}


def _fingerprint(images: str, texts: Sequence[bytes]) -> str:
    """A sha256 of the images' fingerprint and of the texts, whatever they are cut to."""
    digest = hashlib.sha256(images.encode())
    for each in texts:
        digest.update(f"{len(each)}:".encode())
        digest.update(each)
    return digest.hexdigest()
