"""Tables of what was measured: every evaluator's numbers, an encoder a column."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxssl.evaluation import headlines, summary
from jaxssl.report import canvas
from jaxssl.report.page import Table

_WORDS = {"random": "random weights", "pca": "PCA of pixels", "counts": "counts of tokens"}
_ABSENT = "-"


def judgement(run: Path, records: Sequence[Mapping], summarised: Mapping | None) -> str:
    """What the run is worth, in one sentence that its results bear out.

    Args:
        run: its directory, for the command that measures it.
        records: results of the step and the splits that are shown.
        summarised: of them (``summary.summarise``).
    """
    for record in records:
        if record["protocol"]["evaluator"] == "finetune":
            (headline,) = headlines.of(record)
            described = record["protocol"]
            return (
                f"After {described['train_size']:,} labels it names "
                f"{percent([headline.value], headline.half_width, ())} % of "
                f"{described['test_size']:,} test images right."
            )
    if summarised is not None:
        return summary.sentence(summarised)
    return f"Nobody has measured yet what it is worth: jaxssl evaluate {run} does."


def summed_up(found: Mapping) -> Table:
    """The table of ``summary.summarise``: what the run is worth, in two lines."""
    rows = [row for row in summary.ROWS if row in found]
    encoders = [each for each in summary.ENCODERS if any(each in found[row] for row in rows)]
    cells = [
        (
            f"{summary.ROWS[row]}, %",
            *(f"{found[row][each]:.2f}" if each in found[row] else _ABSENT for each in encoders),
        )
        for row in rows
    ]
    said = [
        "Test accuracy of a linear classifier of frozen features.",
        *(
            f"{summary.ROWS[row]}, {encoder}: {what}."
            for row in rows
            for encoder, what in found[row]["probed"].items()
        ),
        *found.get("classes", ()),
    ]
    heads = ("", *(_WORDS.get(each, each) for each in encoders))
    return Table("Result", " ".join(said), heads, tuple(cells), "numbers")


def everything(records: Sequence[Mapping]) -> list[Table]:
    """All headlines of the results, in percent; nothing without any.

    Args:
        records: results of the step and the splits that are shown.
    """
    found: dict[str, dict[str, list[headlines.Headline]]] = {}
    for record in records:
        for headline in headlines.of(record):
            own = found.setdefault(headline.name, {})
            own.setdefault(record["subject"]["encoder"], []).append(headline)
    if not found:
        return []
    encoders = [each for each in canvas.ENCODERS if any(each in own for own in found.values())]
    rows = tuple(
        (f"{name}, %", *(_cell(own.get(each, ())) for each in encoders))
        for name, own in found.items()
    )
    sentence = (
        "± is half of a 95 % interval: of the test images, of few labels of the draws. Of several "
        "seeds of random weights it is the standard deviation (sd)."
    )
    heads = ("", *(_WORDS.get(each, each) for each in encoders))
    return [Table("All measurements", sentence, heads, rows, "numbers")]


def corruptions(records: Sequence[Mapping]) -> list[Table]:
    """Accuracy under every corruption by its strength; nothing where it was not measured."""
    tables = []
    for record in records:
        if record["protocol"]["evaluator"] != "robustness":
            continue
        results = record["results"]
        kinds = results["kinds"]
        rows = tuple(
            (kind, *(f"{100 * each['accuracy']:.1f}" for each in measured))
            for kind, measured in kinds.items()
        )
        most = max((len(measured) for measured in kinds.values()), default=0)
        clean = f"{100 * results['clean']['accuracy']:.1f} %"
        sentence = (
            "Test accuracy in percent of the linear probe under corruptions, from weak to strong; "
            f"of the images as they are {clean}."
        )
        heads = ("", *(f"strength {place + 1}" for place in range(most)))
        rows = tuple((*row, *[_ABSENT] * (most + 1 - len(row))) for row in rows)
        tables.append(Table("Robustness", sentence, heads, rows, "numbers"))
    return tables


def pretext(records: Sequence[Mapping]) -> list[Table]:
    """The method's own loss on examples that it did not learn from; nothing where unmeasured."""
    tables = []
    for record in records:
        if record["protocol"]["evaluator"] != "pretext":
            continue
        trained, untrained = (record["results"][name] for name in ("trained", "untrained"))
        names = [name for name in trained if name != "half_width"]
        rows = tuple(
            (name.replace("_", " "), f"{trained[name]:.4g}", f"{untrained[name]:.4g}")
            for name in names
        )
        described = record["protocol"]
        sentence = (
            f"The method's loss and metrics on {described['num_priced']:,} examples of "
            f"{described['test_split']}, views as in training. A low loss is no good features."
        )
        heads = ("", "trained", "as the run began")
        tables.append(Table("The task on new examples", sentence, heads, rows, "numbers"))
    return tables


def percent(values: Sequence[float], half_width: float | None, notes: Sequence[str]) -> str:
    """Accuracies in percent as a cell of a table.

    Args:
        values: in [0, 1]; of several, such as those of seeds, mean and standard deviation stand.
        half_width: of the interval of a single one, where there is one.
        notes: layers, behind it in brackets.
    """
    text = summary.spread([100 * each for each in values])
    if len(values) > 1:
        text += " sd"
    elif half_width is not None:
        text += f" ± {100 * half_width:.2f}"
    return f"{text} ({', or '.join(notes)})" if notes else text


def _cell(found: Sequence[headlines.Headline]) -> str:
    if not found:
        return _ABSENT
    notes = list(dict.fromkeys(each.note for each in found if each.note))
    return percent([each.value for each in found], found[0].half_width, notes)
