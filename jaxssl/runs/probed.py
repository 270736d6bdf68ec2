"""The probes that a recipe asks for, which watch its run."""

from jaxssl import data, online, watching
from jaxssl.runs.recipe import Recipe


def watchers_of(recipe: Recipe, source: data.Source) -> list[watching.Watcher]:
    """What judges the features of a run while it learns; nothing where nobody asks.

    Args:
        recipe: with ``run.probe``.
        source: the training split.

    Raises:
        ValueError: examples without an image, or without classes; no split that pretraining does
            not see.
    """
    if not recipe.run.probe:
        return []
    if "image" not in source[0]:
        columns = ", ".join(name for name in source[0] if name != "label")
        raise ValueError(
            f"run.probe: must be of a recipe of images; got {source.name}, whose examples have "
            f"{columns}. Leave --run.probe out, and evaluate afterwards: jaxssl linear-eval."
        )
    judged_on = online.Judged.choose(recipe.data, source)
    return [
        online.ProbeWatcher(
            recipe.run.probe,
            every=recipe.run.probe_every,
            log_every=recipe.run.log_every,
            train=source,
            judged_on=judged_on,
        )
    ]
