"""What makes a run this run: what config.json says, and who may write it."""

import json
from collections.abc import Mapping

import jax
from jax.experimental import multihost_utils

from jaxssl import checkpoints, data, files
from jaxssl.runs import directory as directories
from jaxssl.runs import record
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe


def of(recipe: Recipe, source: data.Source) -> dict:
    """What makes a run this run, as config.json records it."""
    return {"config": record.to_json(recipe), "dataset": dataset(recipe, source)}


def as_recorded(identity: dict, source: data.Source, directory: RunDirectory) -> dict:
    """The identity by the fingerprint that the directory holds, where an earlier version made it.

    Films were read whole for it, which only such a record is worth.
    """
    found = directories.read_identity(directory)
    if found is None or not hasattr(source, "former_fingerprint"):
        return identity
    ours, recorded = identity["dataset"], found["dataset"].get("fingerprint")
    if recorded == ours["fingerprint"] or recorded != source.former_fingerprint():
        return identity
    return {**identity, "dataset": {**ours, "fingerprint": recorded}}


def dataset(recipe: Recipe, source: data.Source) -> dict:
    """The data set of a run, as config.json and checkpoints record it."""
    return {
        "name": source.name,
        "split": recipe.data.train_split,
        "size": len(source),
        "fingerprint": source.fingerprint,
    }


def claim(directory: RunDirectory, identity: Mapping, *, changes_data: bool = False) -> None:
    """Writes config.json into a run directory that is new, of this run, or has saved nothing.

    Args:
        directory: of the run.
        identity: what config.json is to say.
        changes_data: whether the run goes on with other data; see ``changed_data.accept``.

    It is written once, and again only where it says another thing: where data lie, or how it runs.

    Raises:
        ValueError: it holds another run.
    """
    found = directories.read_identity(directory)
    if found is not None and checkpoints.complete_steps(directory.path):
        differing = record.differences(identity, found)
        if differing and not changes_data:
            fix = "Choose another --out."
            if not record.differences(identity, found, any_data=True):
                fix = (
                    "Choose another --out, bring the data back, or go on with them as they are: "
                    "--run.accept-changed-data."
                )
            raise ValueError(
                f"--out {directory.path}: must be new or the directory of this very run; it holds "
                f"another one, which differs in (now, there): {', '.join(differing[:5])}. {fix}"
            )
    if jax.process_count() > 1:  # what the first one writes, the others must not find
        multihost_utils.sync_global_devices("jaxssl: run directory checked")
    if jax.process_index() == 0 and found != record.through_json(identity):
        files.write_whole(directory.config, json.dumps(identity, indent=1) + "\n")
