"""Tensors out of a ``.pth`` file, without PyTorch, and without running what a pickle asks for.

Such a file is an archive of a pickle and of the numbers that it points to. A pickle is a program
that may import anything and call it; the one here knows tensors, the dictionaries that hold them,
and plain values. Whatever else a file names is refused by its name, and nothing of it is imported.

Source: torch/serialization.py and torch/_weights_only_unpickler.py of PyTorch.
"""

import collections
import io
import math
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_SAVE_ANEW = (
    "Load it with torch where you trust it, and save its state_dict alone: "
    "safetensors.torch.save_file(model.state_dict(), FILE)."
)


class _Storage(NamedTuple):
    """The numbers that a persistent id of the pickle stands for."""

    values: np.ndarray


def read(path: Path) -> object:
    """What a file of ``torch.save`` holds, its tensors as NumPy arrays.

    Args:
        path: written by PyTorch 1.6 or later.

    Returns:
        Dictionaries, lists, tuples, plain values and arrays, in whatever order they are nested.

    Raises:
        ValueError: no such file, one of an earlier PyTorch, one that is damaged, or one that holds
            anything else (names it).
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: must be a file of torch.save of PyTorch 1.6 or later, a zip archive; got "
            f"something else. {_SAVE_ANEW}"
        )
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(
                f"{path}: must hold one data.pkl, as torch.save writes it; got {len(names)}. Is it "
                f"a TorchScript model? {_SAVE_ANEW}"
            )
        root = names[0].removesuffix("data.pkl")
        try:
            if f"{root}byteorder" in archive.namelist():
                order = _stored(archive, f"{root}byteorder")
                if order != b"little":
                    raise ValueError(f"its byte order must be little; got {order!r}")
            pickled = _stored(archive, names[0])
            _check_memo(pickled)
            return _Unpickler(pickled, archive, root).load()
        except Exception as error:  # whatever a damaged pickle makes the unpickler do
            said = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path}: {said}. {_SAVE_ANEW}") from error


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """A part of the archive; compressed, few bytes could become terabytes."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its part {name} must be stored as it is; got it compressed")
    return archive.read(info)


def _check_memo(pickled: bytes) -> None:
    """Refuses a pickle that numbers more values than it can hold, which takes memory for all."""
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "LONG_BINPUT" and (argument or 0) > len(pickled):
            raise ValueError(f"its pickle must number what it holds; got number {argument}")


class _Unpickler(pickle.Unpickler):
    """Makes tensors, ordered dictionaries and plain values, and nothing else."""

    def __init__(self, pickled: bytes, archive: zipfile.ZipFile, root: str):
        super().__init__(io.BytesIO(pickled), encoding="utf-8")
        self._archive, self._root = archive, root
        self._storages: dict[str, np.ndarray] = {}
        # Made anew for each file, so that nothing that a pickle does to them outlives it.
        self._known = {
            ("collections", "OrderedDict"): lambda *pairs: collections.OrderedDict(*pairs),
            ("torch._utils", "_rebuild_tensor_v2"): lambda *form: _tensor(*form[:4]),
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in self._known:
            return self._known[module, name]
        if module == "torch" and name in _DTYPES:
            return name
        raise ValueError(
            f"must hold tensors, dictionaries and plain values; got {module}.{name}, which is not "
            "read, since it could run anything"
        )

    def persistent_load(self, form: Any) -> _Storage:
        kind, name, key, _, count = form
        if kind != "storage" or name not in _DTYPES:
            raise ValueError(f"must point to storages of numbers; got {kind!r} {name!r}")
        if key not in self._storages:
            stored = _stored(self._archive, f"{self._root}data/{key}")
            values = np.frombuffer(stored, _DTYPES[name])
            if len(values) != count:
                raise ValueError(f"its storage {key} must hold {count} numbers; got {len(values)}")
            self._storages[key] = values
        return _Storage(self._storages[key])


def _tensor(storage: _Storage, offset: int, size: tuple, stride: tuple) -> np.ndarray:
    """A view of a storage, which it must lie in, and be no larger than."""
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor must be of a storage; got something else")
    values = storage.values
    form = (offset, *size, *stride)
    is_form = len(size) == len(stride) and all(type(each) is int and each >= 0 for each in form)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride))
    count = math.prod(size)
    if not is_form or count > len(values) or (count > 0 and last >= len(values)):
        raise ValueError(
            f"a tensor must lie in its storage of {len(values)} numbers; got shape {size}, strides "
            f"{stride} from {offset} on"
        )
    if count == 0:
        return np.zeros(size, values.dtype)
    strides = [each * values.itemsize for each in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], size, strides, writeable=False)
