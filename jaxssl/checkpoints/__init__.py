"""Checkpoints of a run: the only package that knows Orbax.

One step directory holds three items: ``state`` (to resume), ``encoder`` (to evaluate) and ``meta``
(JSON, to rebuild the encoder and to know what was run). When Orbax has committed a step, a manifest
with the sha256 of every file is added; a step counts only once its manifest is there, and every
restore verifies it first, because Orbax does not notice flipped bytes in array data.
"""

from jaxssl.checkpoints import patterns
from jaxssl.checkpoints.disk import DiskFullError
from jaxssl.checkpoints.encoder import (
    RestoredEncoder,
    read_meta,
    restore_encoder,
    restore_state,
)
from jaxssl.checkpoints.forward import forward
from jaxssl.checkpoints.imported import save_encoder
from jaxssl.checkpoints.manager import Checkpoints
from jaxssl.checkpoints.manifest import MANIFEST, CheckpointError, complete_steps, fingerprint

__all__ = [
    "MANIFEST",
    "CheckpointError",
    "Checkpoints",
    "DiskFullError",
    "RestoredEncoder",
    "complete_steps",
    "fingerprint",
    "forward",
    "read_meta",
    "restore_encoder",
    "restore_state",
    "save_encoder",
]

patterns.escape_directories()
