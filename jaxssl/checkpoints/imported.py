"""An encoder that no run trained, saved as the encoder of a run is."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import orbax.checkpoint as ocp

from jaxssl import files
from jaxssl import meta as meta_lib
from jaxssl.checkpoints import disk, manifest, trees
from jaxssl.types import PyTree

STEP = 0


def save_encoder(directory: str | os.PathLike, variables: PyTree, meta: Mapping) -> None:
    """Writes a directory from which ``restore_encoder`` gives this encoder, at step 0.

    Args:
        directory: new or empty; is whole when this returns, and otherwise not there.
        variables: linen variables of the encoder.
        meta: a ``meta.ImportedMeta``, JSON-able; "step" is added.

    Raises:
        ValueError: a directory that holds something; a record that is none.
        DiskFullError: the disk is full.
    """
    path = Path(directory).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"--out: must be a new or empty directory; got {directory}, which holds something. "
            "Delete it, or choose another."
        )
    meta = {**meta, "step": STEP}
    meta_lib.check(meta)
    made = files.make_directory(path)
    try:
        root = manifest.locate(path, create=True)
        with disk.saving(root, STEP, variables), trees.quiet_orbax():
            _write(root, variables, meta)
    except BaseException:
        for each in [*made[:1], *path.glob("*")]:
            shutil.rmtree(each, ignore_errors=True)
        raise


def _write(root: Path, variables: PyTree, meta: Mapping) -> None:
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    with ocp.CheckpointManager(root, options=options) as manager:
        manager.save(
            STEP,
            args=ocp.args.Composite(
                encoder=ocp.args.StandardSave(variables), meta=ocp.args.JsonSave(meta)
            ),
        )
        manager.wait_until_finished()
    manifest.write(root / str(STEP))
