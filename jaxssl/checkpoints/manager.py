"""Checkpoints of a run: the only module that knows Orbax.

One step directory holds three items: ``state`` (to resume), ``encoder`` (to evaluate) and ``meta``
(JSON, to rebuild the encoder and to know what was run). When Orbax has committed a step, a manifest
with the sha256 of every file is added; a step counts only once its manifest is there, and every
restore verifies it first, because Orbax does not notice flipped bytes in array data.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxssl import files, models
from jaxssl.types import Array, Features, PyTree, TrainState

MANIFEST = "manifest.json"
_MAX_NAMED_LEAVES = 5


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of something else than was asked for."""


@dataclasses.dataclass(frozen=True, eq=False)  # by identity, so that jax.jit takes it
class RestoredEncoder:
    """A trained encoder, ready to use; calling it gives the features of images in eval mode.

    Attributes:
        module: the linen module.
        variables: its parameters and batch statistics.
        meta: everything the run recorded beside them.
    """

    module: models.ViT | models.ResNet | models.ConvNeXt | models.Split
    variables: PyTree
    meta: dict

    def __call__(self, images: Array) -> Features:
        """Features of images [B, H, W, C], uint8 or float32 in [0, 1]; batch norm in eval mode."""
        return self.module.apply(self.variables, images, train=False)


class Checkpoints:
    """The checkpoints of one run directory; a context manager.

    Keeps the newest ``keep_latest`` steps and, beside them, the one with the lowest recorded loss.
    """

    def __init__(self, directory: str | os.PathLike, *, keep_latest: int = 2):
        self._root = _steps_directory(Path(directory), create=True)
        complete = _complete_steps(self._root)
        for step in complete:
            _verify(self._root / str(step), ("metrics",))  # the manager is about to read them
        policy = ocp.checkpoint_managers.AnyPreservationPolicy(
            [
                ocp.checkpoint_managers.LatestN(keep_latest),
                ocp.checkpoint_managers.BestN(get_metric_fn=_loss, reverse=True, n=1),
            ]
        )
        # Synchronous: the manifest needs the committed files, and a step that was announced as
        # saved must survive whatever happens next.
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policy,
            best_fn=_loss,  # without it Orbax writes no metrics, and a resumed run knows no best
            best_mode="min",
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
        )
        # An interrupted save that Orbax finds and clears is no news to a user who resumes.
        logging.getLogger("absl").setLevel(logging.ERROR)
        self._manager = ocp.CheckpointManager(self._root, options=options)
        _wait_for_all("open")
        # A process that died between commit and manifest left a step that nobody may restore, but
        # that Orbax would count among the newest and refuse to save earlier steps for.
        for step in sorted(set(self._manager.all_steps()) - set(complete)):
            self._manager.delete(step)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception) -> None:
        self._manager.close()

    def latest_step(self, *, before: float = math.inf) -> int | None:
        """The newest complete step before another one, or None."""
        return max((step for step in _complete_steps(self._root) if step < before), default=None)

    def save(self, state: TrainState, encoder: PyTree, meta: Mapping, *, loss: float) -> None:
        """Saves one step; returns when it is committed and its manifest written.

        Args:
            state: global arrays; its step names the checkpoint.
            encoder: linen variables, what ``restore_encoder`` returns.
            meta: JSON-able; ``meta["step"]`` is added.
            loss: the loss to judge the step by, finite.
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
        self._manager.save(
            step,
            metrics={"loss": loss},
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                encoder=ocp.args.StandardSave(encoder),
                meta=ocp.args.JsonSave({**meta, "step": step}),
            ),
        )
        self._manager.wait_until_finished()
        if jax.process_index() == 0:
            _write_manifest(self._root / str(step))
        _wait_for_all(f"saved {step}")

    def restore_state(
        self, step: int, like: TrainState, sharding: jax.sharding.Sharding
    ) -> TrainState:
        """The training state of a step, verified, placed as ``sharding`` says.

        Args:
            step: a step with a manifest.
            like: shapes and dtypes of the state (``jax.eval_shape`` gives them).
            sharding: where every leaf goes; any number of devices, whatever number saved it.

        Raises:
            CheckpointError: a damaged file, or another tree than ``like``.
        """
        _verify(self._root / str(step), ("state",))
        found = _tree_of(self._root / str(step) / "state")
        _compare_trees(found, like, self._root / str(step))
        target = _placed(like, sharding)
        return self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
        ).state

    def delete_after(self, step: int) -> None:
        """Deletes every checkpoint later than a step, the newest first.

        Each loses its manifest before anything else: killed halfway, this leaves no step that
        counts and cannot be restored.
        """
        for later in sorted(_complete_steps(self._root), reverse=True):
            if later > step:
                _wait_for_all(f"delete {later}")  # until each process knows that it is there
                if jax.process_index() == 0:
                    (self._root / str(later) / MANIFEST).unlink()
                self._manager.delete(later)
                _wait_for_all(f"deleted {later}")


def complete_steps(directory: str | os.PathLike) -> list[int]:
    """The steps of a run that can be restored, ascending; none where there is no run."""
    return sorted(_complete_steps(_steps_directory(Path(directory), create=False)))


def read_meta(directory: str | os.PathLike, step: int | None = None) -> dict:
    """What a run recorded beside its encoder, verified; reads no array.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        step: which checkpoint; the newest complete one by default.

    Raises:
        CheckpointError: nothing to read, a step that is not there, or a damaged file.
    """
    path = _step_path("read_meta", directory, step)
    _verify(path, ("meta",))
    return json.loads((path / "meta" / "metadata").read_text())


def restore_encoder(directory: str | os.PathLike, step: int | None = None) -> RestoredEncoder:
    """Restores the encoder of a run, without its optimizer and without its training code.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        step: which checkpoint; the newest complete one by default.

    Returns:
        RestoredEncoder(module, variables, meta), variables on the first local device.

    Raises:
        CheckpointError: nothing to restore; a step that is not there (the ones that are); a file
            whose sha256 differs from the manifest (which file); an encoder whose parameters are not
            those that ``meta`` describes (up to five differing leaves).

    Example:
        >>> encoder = jaxssl.restore_encoder("runs/simclr")  # doctest: +SKIP
        >>> features = encoder(images).pooled                # doctest: +SKIP
    """
    path = _step_path("restore_encoder", directory, step)
    _verify(path, ("encoder", "meta"))
    meta = json.loads((path / "meta" / "metadata").read_text())
    module = models.encoder_config(meta["encoder"]["name"], meta["encoder"]["fields"]).build()
    size, channels = meta["image_size"], meta["channels"]
    images = jax.ShapeDtypeStruct((1, size, size, channels), "uint8")
    like = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), images)
    variables = _restored(path, "encoder", like)
    return RestoredEncoder(module, variables, meta)


def restore_state(
    directory: str | os.PathLike, like: TrainState, step: int | None = None
) -> TrainState:
    """Restores the training state of a run to look at it; a run that goes on is not disturbed.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        like: shapes and dtypes of the state (``jax.eval_shape`` gives them).
        step: which checkpoint; the newest complete one by default.

    Returns:
        The state, on the first local device.

    Raises:
        CheckpointError: as ``restore_encoder``.
    """
    path = _step_path("restore_state", directory, step)
    _verify(path, ("state",))
    return _restored(path, "state", like)


def _step_path(caller: str, directory: str | os.PathLike, step: int | None) -> Path:
    """The directory of a complete step, the newest by default."""
    root = _steps_directory(Path(directory), create=False)
    steps = _complete_steps(root)
    if not steps:
        raise CheckpointError(
            f"{caller}: the directory must hold a complete checkpoint; got none in "
            f"{os.fspath(directory)}. Is it the --out directory of a run that has saved?"
        )
    step = max(steps) if step is None else step
    if step not in steps:
        raise CheckpointError(
            f"{caller}: step must be one of {', '.join(map(str, sorted(steps)))}; got {step}."
        )
    return root / str(step)


def _restored(path: Path, item: str, like: PyTree) -> PyTree:
    """One item of a step, compared with ``like`` and put on the first local device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    with _quiet_orbax(), ocp.StandardCheckpointer() as checkpointer:
        _compare_trees(_tree_of(path / item), like, path)
        return checkpointer.restore(path / item, _placed(like, device))


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Silences Orbax's warning that an item read on its own has no metadata of a whole step."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def _wait_for_all(name: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"jaxssl checkpoints: {name}")


def _steps_directory(directory: Path, *, create: bool) -> Path:
    directory = directory.absolute()
    if directory.name != "checkpoints":
        directory = directory / "checkpoints"
    if create:
        directory.mkdir(parents=True, exist_ok=True)
    return directory


def _complete_steps(root: Path) -> list[int]:
    return [
        int(path.parent.name) for path in root.glob(f"*/{MANIFEST}") if path.parent.name.isdigit()
    ]


def _one_copy(leaf: jax.Array) -> jax.Array:
    """A leaf that every device holds, of one of them; one that is spread over them, as it is."""
    # Orbax would collect a slice of a replicated leaf from every device, in Python.
    return leaf.addressable_data(0) if leaf.is_fully_replicated else leaf


def _write_manifest(step_directory: Path) -> None:
    sums = {
        path.relative_to(step_directory).as_posix(): _sha256(path)
        for path in sorted(step_directory.rglob("*"))
        if path.is_file()
    }
    files.write_whole(step_directory / MANIFEST, json.dumps(sums, indent=1))


def _verify(step_directory: Path, items: tuple[str, ...]) -> None:
    """Raises CheckpointError naming the first file of these items that is missing or changed.

    The few small files that belong to no item are always looked at.
    """
    way_out = f"Delete {step_directory} to fall back to an earlier step."
    manifest = step_directory / MANIFEST
    try:
        sums = json.loads(manifest.read_text())
    except ValueError as error:
        raise CheckpointError(
            f"checkpoint {manifest} is damaged: it is no JSON. {way_out}"
        ) from error
    for name, expected in sums.items():
        item, _, inside = name.partition("/")
        if inside and item not in items:
            continue
        path = step_directory / name
        if not path.is_file() or _sha256(path) != expected:
            state = (
                "is damaged: its sha256 is not the manifest's" if path.is_file() else "is missing"
            )
            raise CheckpointError(f"checkpoint {path} {state}. {way_out}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tree_of(item_directory: Path) -> PyTree:
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.metadata(item_directory).item_metadata.tree


def _placed(like: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), like
    )


def _compare_trees(found: PyTree, expected: PyTree, step_directory: Path) -> None:
    """Raises CheckpointError naming up to five leaves that differ in path, shape or dtype."""
    found, expected = _leaves(found), _leaves(expected)
    differing = [
        f"{path}: checkpoint has {found.get(path, 'nothing')}, expected "
        f"{expected.get(path, 'nothing')}"
        for path in sorted(found.keys() | expected.keys())
        if found.get(path) != expected.get(path)
    ]
    if differing:
        more = f" and {len(differing) - _MAX_NAMED_LEAVES} more"
        raise CheckpointError(
            f"checkpoint {step_directory}: its leaves must be those of the model that is being "
            f"restored; differing: {'; '.join(differing[:_MAX_NAMED_LEAVES])}"
            f"{more if len(differing) > _MAX_NAMED_LEAVES else ''}."
        )


def _leaves(tree: PyTree) -> dict[str, str]:
    """Path to "dtype[shape]" for every leaf, the same for dicts, dataclasses and Orbax metadata."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        names = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", k))) for k in path)
        shape = ",".join(map(str, leaf.shape))
        leaves["/".join(map(str, names))] = f"{leaf.dtype}[{shape}]"
    return leaves
