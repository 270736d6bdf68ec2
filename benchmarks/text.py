"""Held-out text: runs of GPT and BERT beside what needs no network.

Command: python benchmarks/text.py --gpt runs/gpt --bert runs/bert

Bits a byte of the test documents of the corpus: of a byte-bigram model with counts of the training
documents (add 1/4), of lzma on the test documents alone and behind the training documents, and of
the run of GPT, by jaxssl pretext-eval. Of the bytes that BERT is asked for, the part it names, and
the part that are the commonest byte of the training documents, or the likeliest by the bytes beside
them (the byte that most often stood between the two).
"""

import argparse
import lzma

import numpy as np

from jaxssl.data import documents
from jaxssl.runs import held_out

PSEUDO_COUNT = 0.25
LZMA = {"format": lzma.FORMAT_XZ, "preset": 9 | lzma.PRESET_EXTREME}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", default=documents.PYTHON)
    parser.add_argument("--gpt", help="run of GPT")
    parser.add_argument("--bert", help="run of BERT")
    options = parser.parse_args()
    train, test = (
        b"".join(each.text for each in documents.read_split(options.path, split))
        for split in ("train", "test")
    )
    print(f"{len(train):,} bytes of training, {len(test):,} of test documents")
    print(f"| model | bits a byte |\n|---|---|\n| byte bigrams | {bigrams(train, test):.3f} |")
    alone, behind = lzma_bits(b"", test), lzma_bits(train, test)
    print(f"| lzma, alone | {alone:.3f} |\n| lzma, behind the training documents | {behind:.3f} |")
    if options.gpt:
        found = held_out.measure(options.gpt)["results"]
        print(f"| GPT | {found['trained']['bits_per_token']:.3f} |")
    commonest, between = guesses(train, test)
    print(
        f"\n| model | bytes named, % |\n|---|---|\n| the commonest byte | {100 * commonest:.2f} |"
    )
    print(f"| the likeliest between its neighbours | {100 * between:.2f} |")
    if options.bert:
        found = held_out.measure(options.bert)["results"]
        print(f"| BERT | {100 * found['trained']['accuracy']:.2f} |")


def as_numbers(content):
    return np.frombuffer(content, np.uint8).astype(np.int64)


def bigrams(train, test):
    """Bits a byte of the test text."""
    train, test = as_numbers(train), as_numbers(test)
    counts = np.bincount(256 * train[:-1] + train[1:], minlength=256**2).reshape(256, 256)
    shares = counts + PSEUDO_COUNT
    shares = shares / shares.sum(axis=1, keepdims=True)
    return -np.log2(shares[test[:-1], test[1:]]).mean()


def lzma_bits(before, test):
    """Bits a byte by which the test text makes an archive longer."""
    sizes = [len(lzma.compress(content, **LZMA)) for content in (before, before + test)]
    return 8 * (sizes[1] - (sizes[0] if before else 0)) / len(test)


def guesses(train, test):
    """Parts of the test bytes that are the commonest byte, and the likeliest between two others."""
    train, test = as_numbers(train), as_numbers(test)
    commonest = np.bincount(train).argmax()
    contexts = 256 * train[:-2] + train[2:]
    counts = np.bincount(256 * contexts + train[1:-1], minlength=256**3).reshape(256**2, 256)
    likeliest = counts.argmax(axis=1)
    named = likeliest[256 * test[:-2] + test[2:]] == test[1:-1]
    return (test == commonest).mean(), named.mean()


if __name__ == "__main__":
    main()
