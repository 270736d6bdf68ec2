"""Which classes a linear classifier of the features takes for which: a table of shares."""

from collections.abc import Mapping, Sequence

from jaxssl.evaluation import layers
from jaxssl.report.page import Table

_WORST = 3  # mistakes that the sentence names


def confusions(records: Sequence[Mapping]) -> list[Table]:
    """Of each class's test images, in percent, the classes they were given; nothing unmeasured.

    Of the trained encoder's best layer, as held-out training images choose it.

    Args:
        records: results of the step and the splits that are shown.
    """
    found = [
        record
        for record in records
        if record["protocol"]["evaluator"] == "linear"
        and record["subject"]["encoder"] == "trained"
        and "confusion" in record["results"]
    ]
    if not found:
        return []
    # Maps say more than the pooled vector where both were measured.
    record = max(found, key=lambda each: each["protocol"]["layer"] != layers.POOLED.name)
    results = _best_layer(record["results"])
    names = list(map(str, record["results"].get("class_names", results["classes"])))
    return [_table(names, results["confusion"], results["layer"])]


def _best_layer(results: Mapping) -> Mapping:
    """Results of the layer that held-out images chose; those themselves where there is none."""
    name = results.get("best", {}).get("layer")
    return next((each for each in results.get("stages", ()) if each["layer"] == name), results)


def _table(names: Sequence[str], confusion: Sequence[Sequence[int]], layer: str) -> Table:
    shares = [[count / max(sum(row), 1) for count in row] for row in confusion]
    mistakes = sorted(
        (
            (share, names[true], names[taken])
            for true, row in enumerate(shares)
            for taken, share in enumerate(row)
            if true != taken and share > 0
        ),
        reverse=True,
    )
    said = [f"{true} for {taken} ({100 * share:.0f} %)" for share, true, taken in mistakes[:_WORST]]
    sentence = (
        "Of the test images of a class (row), the classes (column) that a linear classifier of the "
        f"trained features ({layer}) takes them for, in percent. "
        + (f"Most often it takes {', '.join(said)}." if said else "It makes no mistake.")
    )
    rows = tuple(
        (name, *(f"{100 * share:.0f}" if share else "" for share in row))
        for name, row in zip(names, shares, strict=True)
    )
    return Table("What is taken for what", sentence, ("", *names), rows, "shares")
