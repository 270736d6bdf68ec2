"""What ``jaxssl pretrain`` does, called from Python."""

import dataclasses
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from jaxssl import watching
from jaxssl.runs import pretrain as pretraining
from jaxssl.runs import recipe as recipes
from jaxssl.runs.recipe import Recipe
from jaxssl.training.loop import Outcome


def pretrain(
    recipe: Recipe | str,
    out: str | os.PathLike,
    *,
    watchers: Sequence[watching.Watcher] = (),
    measure: Collection[str] = (),
    quiet: bool = False,
) -> Outcome:
    """Pretrains an encoder; the same recipe on the same directory goes on where it stopped.

    Args:
        recipe: what is run, or the name of a shipped one, or the path of a config file.
        out: run directory, new or of the same recipe; ``jaxssl.restore_encoder(out)`` reads it.
        watchers: see every row of this call: ``watching.Callback(function)``, a
            ``training.trackers.Tracker``, or a ``watching.Watcher`` of your own.
        measure: of the encoder's "mean" and "std", those that are taken from the data instead of
            the recipe.
        quiet: print nothing.

    Returns:
        How many steps are done, and whether a signal ended the call; see ``Outcome``.

    Raises:
        FileNotFoundError: no recipe of that name.
        ValueError: a directory that is in use, of another run, or of something else; or a recipe
            whose parts do not fit each other. Nothing is written.
        RuntimeError: a metric is not finite (``training.rows.DivergedError``), or the features have
            collapsed and the recipe says that such a run ends (``collapse.policy.CollapsedError``).

    Example:
        >>> recipe = jaxssl.load_recipe("simclr_fashion_mnist")
        >>> jaxssl.pretrain(recipe, "runs/simclr")  # doctest: +SKIP
        Outcome(step=468, total_steps=468, stopped=False, saved=True)
    """
    if isinstance(recipe, str):
        recipe = recipes.load(recipe)
    if watchers:
        asked = (*recipe.run.watchers, *map(_Given, watchers))
        recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, watchers=asked))
    console = Console(quiet=quiet, markup=False, emoji=False, highlight=False, soft_wrap=True)
    return pretraining.run(recipe, Path(out), console, measure)


@dataclasses.dataclass(frozen=True)
class _Given:
    """A watcher that is there already, as a recipe has them."""

    watcher: watching.Watcher

    def build(self) -> watching.Watcher:
        """The watcher."""
        return self.watcher
