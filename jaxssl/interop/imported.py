"""From a file of weights to an encoder that everything of jaxssl takes."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import jaxssl
from jaxssl import checkpoints, checks, inputs, named
from jaxssl.interop import hub, recognition, resizing, weights
from jaxssl.interop.layout import Guess
from jaxssl.models import patches

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class ImportConfig:
    """What a file of weights does not say by itself.

    Attributes:
        image_size: side of the images that the encoder will be fed, pixels; left out, the one its
            table of positions was made for, or what config.json says, or 224.
        mean: subtracted from images in [0, 1], one value or one per channel; left out, what
            preprocessor_config.json or config.json beside the file says, or ImageNet's.
        std: divides after that; left out as the mean.
        num_heads: attention heads of a ViT; left out, what config.json says, or the published
            number for its width.
        prefix: what stands before the names of the network that is meant, where a file has several,
            such as "module.base_encoder."; left out, the one that its authors evaluate.
    """

    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    num_heads: int | None = None
    prefix: str | None = None

    def __post_init__(self):
        checks.at_least(self, 1, "image_size", "num_heads")


def load(
    path: str | os.PathLike, options: ImportConfig = ImportConfig(), *, num_heads: int | None = None
) -> checkpoints.RestoredEncoder:
    """The encoder of published weights: of torchvision, timm, Hugging Face, or their authors.

    The layout is recognised by the names of the tensors. Heads and decoders are left out; a tensor
    of the encoder that is missing, or that jaxssl's encoder has no place for, is refused.

    Args:
        path: .safetensors or .pth, or the folder of such a file and its config.json. A .pth is read
            without PyTorch, and nothing in it is run. Or a name that is downloaded, such as
            "timm:resnet50.a1_in1k"; see ``hub.locate``.
        options: what the file does not say.
        num_heads: of a ViT of which neither options nor files say any; left out, the published
            number for its width.

    Returns:
        RestoredEncoder(module, variables, meta): ``encoder(images).pooled``. Of its meta,
        ``origin`` names file, sha256 and layout.

    Raises:
        ValueError: a file that is no such file, tensors of no layout, or options that do not fit.
        FileNotFoundError: nothing there, or out of reach.
        ImportError: a name of the Hub without the package huggingface_hub.

    Example:
        >>> encoder = jaxssl.interop.load("resnet50.safetensors")  # doctest: +SKIP
        >>> features = encoder(images).pooled                      # doctest: +SKIP
    """
    encoder, _ = load_with_others(path, options, num_heads=num_heads)
    return encoder


def load_with_others(
    path: str | os.PathLike, options: ImportConfig, *, num_heads: int | None = None
) -> tuple[checkpoints.RestoredEncoder, tuple[str, ...]]:
    """The same, and the names of the tensors that were left out."""
    found = weights.read(hub.locate(path))
    tensors = {name: each for name, each in found.tensors.items() if each.dtype.kind in "fV"}
    what = recognition.recognise(tensors, where=str(found.path), prefix=options.prefix)
    variables = what.layout.read(what.tensors, what.guess)
    config = _completed(what.guess, found.beside, options, num_heads)
    size = options.image_size or what.guess.image_size or _size_beside(found.beside) or 224
    fed = inputs.of_image(size, what.guess.channels)
    if "position" in variables["params"]:
        grid = patches.patch_grid(size, size, config.patch_size, caller="image_size")
        variables["params"]["position"] = resizing.fit(
            variables["params"]["position"], grid[0], antialias=what.layout.antialias(config)
        )
    module = config.build()
    shapes = inputs.shapes(fed).values()
    jax.eval_shape(lambda *x: module.apply(variables, *x, train=False), *shapes)
    meta = {
        "encoder": named.to_json(config),
        "inputs": inputs.to_json(fed),
        "example": inputs.to_json(tuple(each._replace(dtype="uint8") for each in fed)),
        "versions": {"jaxssl": jaxssl.__version__, "jax": jax.__version__},
        "step": 0,
        "origin": {
            "imported": {
                "file": str(path) if hub.is_name(path) else found.path.name,
                "sha256": _sha256(found.path),
                "layout": what.layout.name,
                "prefix": what.prefix,
            }
        },
    }
    return checkpoints.RestoredEncoder(module, jax.device_put(variables), meta), what.others


def import_run(
    path: str | os.PathLike, out: str | os.PathLike, options: ImportConfig = ImportConfig()
) -> tuple[checkpoints.RestoredEncoder, tuple[str, ...]]:
    """Makes a run directory of published weights, which all commands take that ask for an encoder.

    Args:
        path: as of ``load``, a name that is downloaded too.
        out: run directory to make; new or empty.
        options: what the file does not say.

    Returns:
        The encoder, and the names of the tensors that were left out.

    Raises:
        ValueError: as ``load``; a directory that holds something.
    """
    encoder, others = load_with_others(path, options)
    checkpoints.save_encoder(out, encoder.variables, encoder.meta)
    return encoder, others


def _completed(guess: Guess, beside: Mapping, options: ImportConfig, num_heads: int | None) -> Any:
    """With mean, std and heads, from the options or from the files beside the weights."""
    config, channels = guess.config, guess.channels
    pretrained = beside.get("pretrained_cfg", {})  # timm's
    usual = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    fields: dict[str, Any] = {}
    for name, default in usual.items():
        there = beside.get(f"image_{name}") or pretrained.get(name)
        usual_values = default if channels == 3 else (sum(default) / 3,)
        fields[name] = tuple(getattr(options, name) or there or usual_values)
        if len(fields[name]) not in (1, channels):
            raise ValueError(
                f"{name}: must have 1 value or one for each of {channels} channels; got "
                f"{len(fields[name])}. Say them with --{name}."
            )
    theirs = beside.get("model_args", {}).get("num_heads")  # timm's
    heads = options.num_heads or beside.get("num_attention_heads") or theirs or num_heads
    if heads is not None and hasattr(config, "num_heads"):
        fields["num_heads"] = heads
    elif options.num_heads is not None:
        raise ValueError(f"num_heads: must be left out of a {named.short(config)}; got {heads}.")
    epsilon = beside.get("layer_norm_eps")
    if epsilon is not None and hasattr(config, "norm_epsilon"):
        fields["norm_epsilon"] = epsilon
    return dataclasses.replace(config, **fields)


def _size_beside(beside: Mapping) -> int | None:
    """The side of the images that a model was made for, as config.json has it."""
    size = beside.get("image_size")  # Hugging Face
    shape = beside.get("pretrained_cfg", {}).get("input_size")  # timm, [C, H, W]
    return size if isinstance(size, int) else shape[-1] if shape else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
