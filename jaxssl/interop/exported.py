"""From an encoder of a run to the files of other programs, each compared before it counts."""

import functools
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np
import safetensors.numpy

from jaxssl import checkpoints, files, inputs, named, words
from jaxssl.interop import imported, layout, onnx_file, outgoing, programs, stablehlo
from jaxssl.interop.outgoing import Outgoing, Program

To = Literal["safetensors", "timm", "torchvision", "hf", "onnx", "stablehlo"]
COMPUTATIONS = {"onnx": onnx_file, "stablehlo": stablehlo}  # by their ``--to``
WEIGHTS, PREPROCESSING = "model.safetensors", "preprocessing.json"
TOLERANCE = 1e-4  # of the largest feature
_NUM_IMAGES = 4


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: the folder.
        difference: the largest between the features of the export and those of the encoder, as a
            part of the largest feature.
        usage: a line of Python that takes the export.
    """

    path: Path
    difference: float
    usage: str


def export(
    run: str | os.PathLike | checkpoints.RestoredEncoder,
    to: To,
    out: str | os.PathLike,
    *,
    step: int | None = None,
) -> Exported:
    """Writes the encoder of a run for another program.

    Beside the weights lies what images go through before them: size, channels, range, mean and
    standard deviation. The export is read back and its features of random images are compared with
    the encoder's; one that differs is not written.

    Args:
        run: run directory, or an encoder that was restored or loaded.
        to: "timm", a folder that ``timm.create_model("local-dir:OUT", pretrained=True)`` takes;
            "hf", one that ``AutoModel.from_pretrained`` takes; "torchvision", a ResNet's
            state_dict; "safetensors", the leaves under jaxssl's own names; "onnx", the computation
            itself with its weights, in float32, for any number of images, their channels first;
            "stablehlo", the same for JAX alone, channels last and the dtype as it is.
        out: folder to make; must not exist.
        step: which checkpoint of a run; the newest by default.

    Raises:
        ValueError: a folder that is there; an encoder that the program has no network for (says
            which field); features that differ.
        CheckpointError: as ``restore_encoder``.
        ImportError: "onnx" without the package onnx, or "stablehlo" without flatbuffers, which JAX
            needs for it.

    Example:
        >>> jaxssl.export("runs/dino", "timm", "exported/dino")  # doctest: +SKIP
    """
    out = Path(out)
    if out.exists():
        raise ValueError(
            f"export: OUT must not exist; got {out}, which is there. Delete it, or choose another."
        )
    if isinstance(run, checkpoints.RestoredEncoder):
        encoder = run
    else:
        encoder = checkpoints.restore_encoder(run, step)
    temporary = out.with_name(out.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    made = files.make_directory(temporary)
    try:
        difference, usage = _write(encoder, to, temporary)
        if not math.isfinite(difference):
            raise ValueError(
                "export: features must be finite; got NaN or infinity of random images. Weights "
                "that diverged make them: export an earlier step with --step."
            )
        if difference > TOLERANCE:
            raise ValueError(
                f"export: features must be the encoder's own up to {TOLERANCE:g} of the largest; "
                f"got {difference:.1e} after reading the export back. It was not written."
            )
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(made[0] if made else temporary, ignore_errors=True)
        raise
    files.sync_tree(out)
    return Exported(out, difference, usage.format(out=out))


def all_programs() -> dict[str, Program]:
    """Every program whose files have layouts; a new one in ``programs/`` is found by walking."""
    found = (module.PROGRAM for module in named.modules_of(programs.__name__))
    return {program.name: program for program in found}


def _write(encoder: checkpoints.RestoredEncoder, to: str, folder: Path) -> tuple[float, str]:
    """Writes into a folder; returns the difference of the features, and the usage."""
    if to in COMPUTATIONS:
        return _write_computation(encoder, COMPUTATIONS[to], folder)
    leaving = outgoing.of_encoder(encoder)
    if to == "safetensors":
        _write_tensors(folder, layout.flat(leaving.variables), leaving)
        _write_json(folder / PREPROCESSING, leaving.preprocessing)
        back = _read_leaves(folder, leaving).features
        usage = f'safetensors.numpy.load_file("{{out}}/{WEIGHTS}")'
    else:
        program = _find_program(to)
        tensors = outgoing.write_tensors(leaving, to)
        for name, content in program.files(leaving).items():
            _write_json(folder / name, content)
        _write_tensors(folder, tensors | _counters(tensors) | program.adds(leaving), leaving)
        read = imported.load(folder, _options(leaving))
        back = functools.partial(outgoing.run, read.module, read.variables)
        usage = program.usage(leaving)
    images = _images(inputs.square_side(encoder.inputs))
    return _difference(back(images), leaving.features(images)), usage


def _write_computation(
    encoder: checkpoints.RestoredEncoder, kind: ModuleType, folder: Path
) -> tuple[float, str]:
    """The same of a file that computes the features by itself."""
    images = _images(kind.check(encoder))
    file = kind.serialise(encoder)
    files.write_whole(folder / kind.FILE, file)
    _write_json(folder / PREPROCESSING, outgoing.preprocessing_within(encoder))
    return _difference(kind.call(file, images), kind.features(encoder, images)), kind.USAGE


def _find_program(name: str) -> Program:
    known = all_programs()
    if name not in known:
        names = ["safetensors", *known, *COMPUTATIONS]
        raise ValueError(
            f"export: --to must be one of {', '.join(names)}; got {name}."
            f"{words.nearest(name, names)}"
        )
    return known[name]


def _counters(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What PyTorch's BatchNorm keeps beside its statistics; nothing is computed from it."""
    end = ".running_mean"
    names = [name.removesuffix(end) for name in tensors if name.endswith(end)]
    return {f"{name}.num_batches_tracked": np.zeros((), np.int64) for name in names}


def _options(leaving: Outgoing) -> imported.ImportConfig:
    """What a file of weights cannot say where no config lies beside it."""
    said = leaving.preprocessing
    mean, std = (tuple(said[name]) for name in ("mean", "std"))
    return imported.ImportConfig(leaving.guess.image_size, mean, std)


def _read_leaves(folder: Path, leaving: Outgoing) -> Outgoing:
    """The same encoder with the leaves of a file of jaxssl's own names."""
    variables: dict = {}
    for path, leaf in safetensors.numpy.load_file(folder / WEIGHTS).items():
        layout.put(variables, path, leaf)
    return leaving._replace(variables=variables)


def _write_tensors(folder: Path, tensors: dict[str, np.ndarray], leaving: Outgoing) -> None:
    """A safetensors file, which says in its header what images go through."""
    said = {"format": "pt", "preprocessing": json.dumps(leaving.preprocessing)}
    whole = {name: np.asarray(each, order="C") for name, each in tensors.items()}
    files.write_whole(folder / WEIGHTS, safetensors.numpy.save(whole, said))


def _write_json(path: Path, content: dict) -> None:
    files.write_whole(path, json.dumps(content, indent=1) + "\n")


def _images(side: tuple[int, int]) -> np.ndarray:
    size, channels = side
    generator = np.random.default_rng(0)
    return generator.random((_NUM_IMAGES, size, size, channels), np.float32)


def _difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest, as a part of the largest feature."""
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [
            np.abs(found[name] - each).max() / max(np.abs(each).max(), 1e-12)
            for name, each in expected.items()
        ]
    return float(np.max(parts))
