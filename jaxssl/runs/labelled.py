"""Labels in a run: whether its method reads them, that they are there, and how many are kept."""

from jaxssl import data
from jaxssl.evaluation import few_label, splits
from jaxssl.runs.recipe import Labels, Recipe
from jaxssl.types import MethodConfig


def reads(method: MethodConfig) -> bool:
    """Whether a method is shown the labels of the data set; see ``types.MethodConfig``."""
    return getattr(type(method), "READS_LABEL", False)


def class_names(method: MethodConfig, source: data.Source) -> tuple[str, ...]:
    """The names of the classes that a method which reads labels is to learn.

    Args:
        method: one that reads labels.
        source: of the training split.

    Raises:
        ValueError: a split without labels, or one that marks unknown classes.
    """
    name = type(method).__name__
    if not source.labelled:
        reason = data.account_of(source).unlabelled
        raise ValueError(
            f"{name}: the training split must be labelled; got {source.name} without labels"
            f"{f', since {reason}' if reason else ''}. Name a labelled one with --data.path or "
            "--data.train-split."
        )
    if not splits.knows_classes(source):
        raise ValueError(
            f"{name}: every training example must have a class; got labels of -1 in {source.name}, "
            "which mark unknown ones. Leave those examples out."
        )
    return source.class_names or ()


def keep(recipe: Recipe, source: data.Source) -> data.Source:
    """The examples whose labels a recipe keeps: all, or one draw of few, the same as everywhere.

    Args:
        recipe: with its ``labels``.
        source: of the training split.

    Raises:
        ValueError: as ``class_names`` and ``few_label.draw_rows``.
    """
    if recipe.labels is None:
        return source
    class_names(recipe.method, source)
    labels = splits.labels_of(source)
    return data.take(source, few_label.draw_rows(labels, recipe.labels.budget, recipe.labels.draw))


def describe(labels: Labels | None) -> str:
    """Which labels are kept, for the first lines of a run; nothing where all are."""
    if labels is None:
        return ""
    budget = labels.budget
    kept = f"{budget} per class" if labels.per_class else f"{100 * budget:g} %"
    return f", labels of {kept} (draw {labels.draw})"
