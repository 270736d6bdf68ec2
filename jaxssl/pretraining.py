"""From a recipe to a run directory: builds every part and hands them to the training loop."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console

import jaxssl
from jaxssl import checkpoints, data, files, jsonable, models, parallel, recipe
from jaxssl.augment import policies
from jaxssl.training import loop, optimizers
from jaxssl.types import Array, Batch, Features, MethodConfig, PyTree

CONFIG_FILE = "config.json"
NUM_FITTED = 5000  # images that the statistics of a data set are taken from


def run(config: recipe.Recipe, out: Path, console: Console) -> loop.Outcome:
    """Pretrains as a recipe says.

    Args:
        config: the recipe.
        out: run directory, new or of the same recipe.
        console: where the progress goes.

    Returns:
        How the run ended.
    """
    training = config.training
    parallel.check_batch_size(training.batch_size, jax.device_count())
    source = data.open_source(config.data, config.data.train_split)
    loader = data.Loader(
        source,
        batch_size=training.batch_size,
        seed=training.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=config.data.num_threads,
    )
    plan = {
        "batch_size": training.batch_size,
        "steps_per_epoch": loader.steps_per_epoch,
        "total_steps": loop.total_steps(training, loader.steps_per_epoch),
    }
    asked = recipe.to_json(config)
    config = dataclasses.replace(config, method=_fitted_once(config.method, source, out))
    encoder = config.encoder.build(axis_name=loop.AXIS)
    method = config.method.build(encoder, axis_name=loop.AXIS)
    encoder_name, encoder_fields = models.encoder_fields(config.encoder)
    meta = {
        "encoder": {"name": encoder_name, "fields": encoder_fields},
        "image_size": config.method.augment.size,
        "channels": config.data.channels,
        "config": recipe.to_json(config),
        "plan": plan | {"freezes": method.frozen is not None},
        "dataset": {
            "name": source.name,
            "split": config.data.train_split,
            "size": len(source),
            "fingerprint": source.fingerprint,
        },
        "versions": {"jaxssl": jaxssl.__version__, "jax": jax.__version__},
    }
    optimizer = optimizers.build(config.optimizer, **meta["plan"])
    _claim(out, {"config": asked, "dataset": meta["dataset"]}, type(config.method))
    peak = optimizers.peak_learning_rate(config.optimizer, training.batch_size)
    about = (
        f"{type(config.method).__name__} of a {encoder_name} on {source.name}: {len(source):,} "
        f"{'images' if config.data.num_frames == 1 else 'clips'}; {config.optimizer.name} with "
        f"learning rate {peak:g} = {config.optimizer.base_learning_rate:g} x "
        f"{training.batch_size} / 256"
    )
    with loader:
        outcome = loop.train(
            method,
            optimizer,
            loader,
            training=training,
            run=config.run,
            schedule=optimizers.schedule(config.optimizer, **plan),
            out=out,
            meta=meta,
            console=console,
            about=about,
            features=_plain_features(encoder.apply, config.method.augment.size),
        )
    console.print(f"{_ending(outcome)} after step {outcome.step} of {outcome.total_steps}: {out}")
    return outcome


def _ending(outcome: loop.Outcome) -> str:
    if not outcome.saved:
        return "stopped, not saved since it may have collapsed,"
    return "stopped and saved" if outcome.stopped else "done"


def _plain_features(apply: Callable[..., Features], size: int) -> Callable[[PyTree, Batch], Array]:
    """The pooled features of a batch's images as they are, in evaluation mode.

    Args:
        apply: of the encoder's linen module.
        size: side in pixels that the images, or the first frames of clips, are resized to.
    """
    resize = policies.Resize(size)

    def features(variables: PyTree, batch: Batch) -> Array:
        images = batch["image"] if "image" in batch else batch["video"][:, 0]
        images = jax.vmap(lambda image: resize(None, image))(images)
        return apply(variables, images, train=False).pooled

    return features


def fitted(method: MethodConfig, source: data.Source) -> MethodConfig:
    """The method with the size and the statistics of a data set, where it asks for any.

    Args:
        method: a config; see ``types.MethodConfig``.
        source: of the training split.

    Returns:
        What its ``sized`` makes of the number of images or clips, and its ``fitted`` of up to
        ``NUM_FITTED`` images spread evenly over the split; the method itself where it has neither.
    """
    if hasattr(method, "sized"):
        method = method.sized(len(source))
    if not hasattr(method, "fitted"):
        return method
    num_rows = min(max(NUM_FITTED // len(_images(source[0])), 1), len(source))
    rows = np.linspace(0, len(source) - 1, num_rows).astype(int)
    return method.fitted(np.concatenate([_images(source[row]) for row in rows.tolist()]))


def _fitted_once(method: MethodConfig, source: data.Source, out: Path) -> MethodConfig:
    """The method with what it asks of the data set; see ``fitted``.

    A run that is resumed keeps those it began with, to the last bit, whatever machine goes on.
    """
    asks = hasattr(method, "fitted") or hasattr(method, "sized")
    if asks and checkpoints.complete_steps(out):
        recorded = checkpoints.read_meta(out)["config"]["method"]
        if recorded["name"] == type(method).__name__:  # else this is another run, soon refused
            return jsonable.from_json(type(method), recorded["fields"])
    return fitted(method, source)


def _images(record: Mapping[str, np.ndarray]) -> np.ndarray:
    """A record's image, or the frames of its clip; uint8 [1 or T, H, W, C]."""
    return record["video"] if "video" in record else record["image"][None]


def _claim(out: Path, identity: dict, method: type[MethodConfig]) -> None:
    """Writes config.json into a run directory that is new, of this run, or has saved nothing."""
    path = out / CONFIG_FILE
    found = _read_identity(path)
    if found is None:
        if out.exists() and (not out.is_dir() or any(_foreign(out))):
            raise ValueError(
                f"--out {out}: must be new, empty or a run directory; got files without the "
                f"{CONFIG_FILE} of a run. Choose another --out."
            )
    elif checkpoints.complete_steps(out):
        ours = json.loads(json.dumps(identity))
        differing = recipe.differing_fields(
            recipe.without_run(ours["config"]) | {"dataset": ours["dataset"]},
            recipe.without_run(recipe.completed(found["config"], method))
            | {"dataset": found["dataset"]},
        )
        if differing:
            raise ValueError(
                f"--out {out}: must be new or the directory of this very run; it holds another "
                f"one, which differs in (now, there): {', '.join(differing[:5])}. Choose another "
                f"--out."
            )
    if jax.process_count() > 1:  # what the first one writes, the others must not find
        multihost_utils.sync_global_devices("jaxssl: run directory checked")
    if jax.process_index() == 0:
        out.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, json.dumps(identity, indent=1) + "\n")


def _read_identity(path: Path) -> dict | None:
    """What a run directory's config.json says; None where it is no such file."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    is_of_a_run = isinstance(found, dict) and found.keys() == {"config", "dataset"}
    return found if is_of_a_run else None


def _foreign(out: Path) -> Iterator[Path]:
    """What lies in a directory, without the file that ``write_whole`` leaves when it is killed."""
    return (path for path in out.iterdir() if path.name != f"{CONFIG_FILE}.tmp")
