"""A run directory whose config.json is damaged: its checkpoints say the same."""

import json

import jax
from jax.experimental import multihost_utils

from jaxssl import checkpoints, files, meta
from jaxssl.runs import directory as directories
from jaxssl.runs.directory import RunDirectory


def restore_config(directory: RunDirectory) -> str:
    """Writes a config.json that is damaged or missing anew, from the newest checkpoint.

    Args:
        directory: of a run that has saved; one whose config.json is whole stays as it is.

    Returns:
        A line for the user, or nothing.

    Raises:
        CheckpointError: no checkpoint that it could be read from.
        ValueError: an encoder that was imported, and no run.
    """
    if directories.read_identity(directory) is not None:
        return ""
    recorded = checkpoints.read_meta(directory.path)
    if meta.is_imported(recorded):
        raise ValueError(
            f"--out {directory.path}: must be a run; got an encoder that was imported. Begin with "
            f"it in another directory: --init-from {directory.path}."
        )
    # Earlier versions recorded the method as it was prepared for its data, and that alone.
    identity = recorded.get("identity") or {name: recorded[name] for name in ("config", "dataset")}
    _wait_for_all("config.json read")
    if jax.process_index() == 0:
        files.write_whole(directory.config, json.dumps(identity, indent=1) + "\n")
    _wait_for_all("config.json restored")
    return f"{directory.config} restored from the checkpoint of step {recorded['step']}"


def _wait_for_all(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"jaxssl: {name}")
