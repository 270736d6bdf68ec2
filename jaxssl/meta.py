"""What a run records beside its encoder, and in its directory: one schema, checked on reading."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import jax.numpy as jnp
import numpy as np

from jaxssl import checks, inputs, jsonable, named
from jaxssl.types import Plan

NAME = "meta"  # what it is called in messages


class Config(TypedDict):
    """A recipe; see ``runs.record``. Data of earlier versions are their fields alone."""

    method: named.Entry
    encoder: named.Entry
    data: dict
    optimizer: dict
    training: dict
    run: dict
    start: NotRequired[dict]
    labels: NotRequired[dict]


class Dataset(TypedDict):
    """What a run learned from."""

    name: str
    split: str
    size: int
    fingerprint: str


class Identity(TypedDict):
    """What makes a run this run; its config.json."""

    config: Config
    dataset: Dataset


class Versions(TypedDict):
    """Of the programs that wrote a checkpoint."""

    jaxssl: str
    jax: str


class Meta(Identity):
    """What lies beside an encoder; there may be more.

    ``config`` has the method as it was prepared for the data, ``identity`` as it was asked for.
    Earlier versions had neither ``inputs`` nor ``example``, but the fields of ``OldImage``.
    """

    encoder: named.Entry
    plan: Plan
    versions: Versions
    step: int
    identity: NotRequired[Identity]
    inputs: NotRequired[inputs.Inputs]
    example: NotRequired[inputs.Inputs]


class Imported(TypedDict):
    """The file that an encoder was imported from: its name and sha256, and how it was read."""

    file: str
    sha256: str
    layout: str
    prefix: str


class Origin(TypedDict):
    """Where an encoder is from that no run of jaxssl trained."""

    imported: Imported


class ImportedMeta(TypedDict):
    """What lies beside an encoder that was imported; there is no run to tell of."""

    encoder: named.Entry
    origin: Origin
    versions: Versions
    step: int
    inputs: inputs.Inputs
    example: inputs.Inputs


class OldImage(TypedDict):
    """The one image that encoders of earlier versions were fed."""

    image_size: int
    channels: int


class OldData(TypedDict):
    """The data of earlier versions, as far as they say what an example held."""

    image_size: int
    channels: int
    num_frames: NotRequired[int]


def check(meta: object) -> None:
    """Refuses what is not the record of a checkpoint.

    Args:
        meta: JSON values.

    Raises:
        ValueError: a field that is missing, of another type, or out of its range; names it.
    """
    if isinstance(meta, dict) and is_imported(meta):
        found = jsonable.read(ImportedMeta, meta, NAME)
    else:
        found = jsonable.read(Meta, meta, NAME)
        plan = {f"plan.{name}": value for name, value in found["plan"]._asdict().items()}
        plan.pop("plan.freezes")
        checks.at_least(NAME, 1, **plan)
    checks.at_least(NAME, 0, step=found["step"])
    if "inputs" not in found:
        image = jsonable.read(OldImage, meta, NAME)
        checks.at_least(NAME, 1, **{name: image[name] for name in OldImage.__annotations__})
    if "example" not in found:
        jsonable.read(OldData, found["config"]["data"], f"{NAME}: config.data")
    for kind in ("inputs", "example"):
        for name, shape, dtype in found.get(kind, ()):
            checks.at_least(NAME, 1, **{f"{kind}.{name}.shape": shape})
            if not _is_dtype(dtype):
                raise ValueError(
                    f"{NAME}: {kind}.{name}.dtype must name a type of numbers; got {dtype!r}."
                )


def is_imported(meta: Mapping) -> bool:
    """Whether this is the record of an encoder that was imported, of which there is no run."""
    return "origin" in meta


def method_name(meta: Mapping) -> str:
    """The name of the method that trained an encoder; "imported" of one that none did here."""
    return "imported" if is_imported(meta) else meta["config"]["method"]["name"]


def is_identity(found: object) -> bool:
    """Whether JSON values are what a run directory's config.json holds."""
    try:
        jsonable.read(Identity, found, "config.json")
    except ValueError:
        return False
    return True


def _is_dtype(name: str) -> bool:
    try:
        return jnp.issubdtype(np.dtype(name), jnp.generic)
    except TypeError:
        return False
