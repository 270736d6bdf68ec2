"""The checkpoints of one run while it trains: saved, resumed from, deleted."""

import logging
import math
import os
from collections.abc import Mapping, Set
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxssl.checkpoints import disk, manifest, trees
from jaxssl.checkpoints.manifest import CheckpointError
from jaxssl.types import PyTree, TrainState


class Checkpoints:
    """The checkpoints of one run directory; a context manager.

    Keeps the newest ``keep_latest`` steps and, beside them, the one with the lowest recorded loss.
    """

    def __init__(self, directory: str | os.PathLike, *, keep_latest: int = 2):
        self._root = manifest.locate(Path(directory), create=True)
        complete = manifest.list_steps(self._root)
        for step in complete:  # the manager is about to read their metrics
            manifest.verify(self._root / str(step), ("metrics",))
        self._keep_latest = keep_latest
        # Synchronous: the manifest needs the committed files, and a step that was announced as
        # saved must survive whatever happens next. Orbax itself deletes no step: it would do so
        # while it saves, before the new step has its manifest and counts.
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None,
            best_fn=_loss,  # without it Orbax writes no metrics, and a resumed run knows no best
            best_mode="min",
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
        )
        # An interrupted save that Orbax finds and clears is no news to a user who resumes.
        logging.getLogger("absl").setLevel(logging.ERROR)
        self._manager = ocp.CheckpointManager(self._root, options=options)
        _wait_for_all("open")
        # A process that died between commit and manifest left a step that must not be restored, but
        # that Orbax would count among the newest and refuse to save earlier steps for.
        for step in sorted(set(self._manager.all_steps()) - set(complete)):
            self._manager.delete(step)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception) -> None:
        self._manager.close()

    def latest_step(self, *, before: float = math.inf) -> int | None:
        """The newest complete step before another one, or None."""
        steps = manifest.list_steps(self._root)
        return max((step for step in steps if step < before), default=None)

    def save(self, state: TrainState, encoder: PyTree, meta: Mapping, *, loss: float) -> None:
        """Saves one step; returns when it is committed and its manifest written.

        Args:
            state: global arrays; its step names the checkpoint.
            encoder: linen variables, what ``restore_encoder`` returns.
            meta: JSON-able; ``meta["step"]`` is added.
            loss: what the best step is the lowest of, finite.

        Raises:
            DiskFullError: the disk is full; says what was kept and how much is needed.
        """
        step = int(state.step)
        latest = self.latest_step()
        if latest is not None and step <= latest:
            raise CheckpointError(
                f"Checkpoints.save: step must be later than the newest one saved, {latest}; got "
                f"{step}."
            )
        if jax.process_count() == 1:
            state, encoder = jax.tree.map(_one_copy, (state, encoder))
        with disk.saving(self._root, step, (state, encoder)):
            self._write(step, state, encoder, {**meta, "step": step}, loss)
        _wait_for_all(f"saved {step}")
        self._delete(set(manifest.list_steps(self._root)) - self._kept())

    def _write(
        self, step: int, state: TrainState, encoder: PyTree, meta: Mapping, loss: float
    ) -> None:
        self._manager.save(
            step,
            metrics={"loss": loss},
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                encoder=ocp.args.StandardSave(encoder),
                meta=ocp.args.JsonSave(meta),
            ),
        )
        self._manager.wait_until_finished()
        if jax.process_index() == 0:
            manifest.write(self._root / str(step))

    def restore_state(
        self, step: int, like: TrainState, sharding: jax.sharding.Sharding | TrainState
    ) -> TrainState:
        """The training state of a step, verified, placed as ``sharding`` says.

        Args:
            step: a step with a manifest.
            like: shapes and dtypes of the state (``jax.eval_shape`` gives them).
            sharding: where every leaf goes, one for all or a tree of them; any number of devices
                and any division, whatever they were when it was saved.

        Raises:
            CheckpointError: a damaged file, or another tree than ``like``.
        """
        manifest.verify(self._root / str(step), ("state",))
        found = trees.read_form(self._root / str(step) / "state")
        trees.compare(found, like, self._root / str(step))
        target = trees.place(like, sharding)
        return self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
        ).state

    def delete_after(self, step: int) -> None:
        """Deletes every checkpoint later than a step, the newest first."""
        self._delete({later for later in manifest.list_steps(self._root) if later > step})

    def _kept(self) -> set[int]:
        """The newest steps, and the one with the lowest loss; of several the newest."""
        steps = sorted(manifest.list_steps(self._root))
        losses = {step: _loss(self._manager.metrics(step)) for step in steps}
        best = min(reversed(steps), key=losses.__getitem__)
        return {best, *steps[-self._keep_latest :]}

    def _delete(self, steps: Set[int]) -> None:
        """Deletes steps, the newest first.

        Each loses its manifest before anything else: killed halfway, this leaves no step that
        counts and cannot be restored.
        """
        for step in sorted(steps, reverse=True):
            _wait_for_all(f"delete {step}")  # until each process knows that it is there
            if jax.process_index() == 0:
                manifest.remove(self._root / str(step))
            self._manager.delete(step)
            _wait_for_all(f"deleted {step}")


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def _wait_for_all(name: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"jaxssl checkpoints: {name}")


def _one_copy(leaf: jax.Array) -> jax.Array:
    """A leaf that every device holds, of one of them; one that is spread over them, as it is."""
    # Orbax would collect a slice of a replicated leaf from every device, in Python.
    return leaf.addressable_data(0) if leaf.is_fully_replicated else leaf
