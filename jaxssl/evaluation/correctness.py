"""Which test examples a result got right: a bit each, in a file beside the result's.

Two networks are judged on the same test examples, so what tells them apart is the examples that one
gets right and the other does not (``paired``). An accuracy alone cannot say which those are.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxssl import files

SUFFIX = ".correct.npz"


def beside(file: str | os.PathLike) -> Path:
    """Where the bits of a result file lie."""
    return Path(file).with_suffix(SUFFIX)


def name_of(layer: str, part: str = "") -> str:
    """What the bits of a layer are called: "pooled", or "pooled, k=20" of a part of its results."""
    return f"{layer}, {part}" if part else layer


def save(file: str | os.PathLike, correct: Mapping[str, np.ndarray]) -> str:
    """Writes the bits of a result, whole or not at all.

    Args:
        file: of the result.
        correct: what was measured to booleans [..., N], whether each of N test examples was
            predicted right; further axes are draws of few labels. Eight of them make a byte.

    Returns:
        The sha256 of what was written, for the result: it tells damage, and bits of another.
    """
    packed = {name: np.packbits(bits, axis=-1) for name, bits in correct.items()}
    content = io.BytesIO()
    np.savez_compressed(content, **packed)  # type: ignore[arg-type]
    files.write_whole(beside(file), content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def read(file: str | os.PathLike, sha256: str, num_test: int) -> dict[str, np.ndarray]:
    """What ``save`` wrote.

    Args:
        file: of the result.
        sha256: as the result has it.
        num_test: N.

    Raises:
        ValueError: a file that is gone, damaged, or of another result.
    """
    place = beside(file)
    try:
        content = place.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("one whose sha256 is not that of its result")
        with np.load(io.BytesIO(content), allow_pickle=False) as packed:
            found = {name: packed[name] for name in packed.files}
        lengths = {bits.shape[-1] for bits in found.values()}
        if not lengths <= {-(-num_test // 8)}:
            raise ValueError(f"bits of other than {num_test} test examples")
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = "none" if isinstance(error, FileNotFoundError) else error
        raise ValueError(
            f"{place}: must tell which test examples {Path(file).name} got right, as it was "
            f"written; got {reason}. Evaluate again."
        ) from error
    return {
        name: np.unpackbits(bits, axis=-1, count=num_test).astype(bool)
        for name, bits in found.items()
    }
