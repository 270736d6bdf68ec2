"""Named tensors of a file of weights, and what other files beside it say of the model."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors

from jaxssl import jsonable, words
from jaxssl.interop import torch_files

_TORCH = (".pth", ".pt", ".bin", ".ckpt", ".tar")
_NAMES = ("model.safetensors", "pytorch_model.bin")  # of Hugging Face and timm


class Weights(NamedTuple):
    """A file of weights.

    Attributes:
        path: the file.
        tensors: by name; those of dictionaries within dictionaries have dotted names.
        beside: what ``config.json`` and ``preprocessor_config.json`` beside it hold; {} where there
            are none.
    """

    path: Path
    tensors: dict[str, np.ndarray]
    beside: dict


def read(path: str | os.PathLike) -> Weights:
    """Reads a file of weights, or the one in a folder as Hugging Face and timm have it.

    Args:
        path: .safetensors, or what torch.save wrote (.pth, .pt, .bin); or the folder of such a file
            and its config.json.

    Raises:
        ValueError: another kind of file, a damaged one, or one without tensors.
        FileNotFoundError: nothing there.
    """
    file = _find(Path(path).expanduser())
    if file.suffix.lower() == ".safetensors":
        tensors = _read_safetensors(file)
    elif file.suffix.lower() in _TORCH:
        tensors = dict(_flat(torch_files.read(file)))
    else:
        raise ValueError(
            f"{file}: weights must be .safetensors, or {', '.join(_TORCH)} of torch.save; got "
            f"{file.suffix or 'no suffix'}. Save the state_dict with safetensors.torch.save_file."
        )
    if not tensors:
        raise ValueError(f"{file}: must hold named tensors; got none.")
    beside: dict[str, Any] = {}
    for name in ("config.json", "preprocessor_config.json"):
        place = file.with_name(name)
        if place.is_file():
            found = jsonable.parse(place.read_bytes(), str(place))
            beside |= found if isinstance(found, dict) else {}
    return Weights(file, tensors, beside)


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    shown = words.printable(str(path))
    if path.is_dir():
        raise FileNotFoundError(
            f"{shown}: a folder of weights must hold {' or '.join(_NAMES)}; got one without. Give "
            "the file itself; one that is in several parts has to be joined first."
        )
    raise FileNotFoundError(
        f"{shown}: must be a file of weights, or a folder with {' or '.join(_NAMES)}; got nothing "
        "there. Download it first, and give its path."
    )


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        with safetensors.safe_open(file, "numpy") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}
    except (safetensors.SafetensorError, TypeError) as error:  # TypeError: of float8
        raise ValueError(
            f"{file}: must be whole, of numbers that NumPy has; got: {error}."
        ) from error


def _flat(value: object, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The tensors in dictionaries within dictionaries, by their dotted names."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(each, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, np.ndarray) and prefix:
        yield prefix, value
