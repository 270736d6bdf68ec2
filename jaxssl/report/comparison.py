"""Runs side by side as a table: as text, Markdown and a page."""

from collections.abc import Sequence
from pathlib import Path

from jaxssl import files, words
from jaxssl.evaluation import paired
from jaxssl.report import measurements, page
from jaxssl.runs import recipes_apart
from jaxssl.runs.comparison import Cell, Comparison

NAME = "comparison"  # of the files in a directory
_TITLE = "Comparison of runs"


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Writes a page and Markdown, or one of both.

    Args:
        comparison: what is shown.
        out: a file that ends in .html or .md, or a directory for both, made where it is missing.

    Returns:
        What was written.

    Raises:
        ValueError: a file of another kind.
    """
    makers = {".html": as_html, ".md": as_markdown}
    places = check_out(out)
    files.make_directory(places[0].absolute().parent)
    for place in places:
        files.write_whole(place, makers[place.suffix](comparison))
    return places


def check_out(out: Path) -> list[Path]:
    """The files that ``write`` makes of its argument; raises as it does."""
    if out.suffix in (".html", ".md") and not out.is_dir():
        return [out]
    if out.is_file() or (out.suffix and not out.is_dir()):
        raise ValueError(
            f"--out: must be a directory, or end in .html or .md; got {out}. Name a directory for "
            "both."
        )
    return [out / f"{NAME}.html", out / f"{NAME}.md"]


def as_text(comparison: Comparison) -> str:
    """The table in columns, and what is to be said of it below."""
    heads, rows = table(comparison)
    return "\n".join([words.table([heads, *rows]), "", *explanations(comparison)])


def as_markdown(comparison: Comparison) -> str:
    """The same as Markdown."""
    heads, rows = table(comparison)
    lines = [_line(heads), "|---" * len(heads) + "|", *map(_line, rows)]
    return "\n".join([f"# {_TITLE}", "", *lines, "", *explanations(comparison), ""])


def as_html(comparison: Comparison) -> str:
    """The same as a page."""
    heads, rows = table(comparison)
    said = " ".join(explanations(comparison))
    shown = page.Table("Runs", said, tuple(heads), tuple(map(tuple, rows)), "numbers")
    return page.render(_TITLE, [shown])


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """The heads of the columns, a group each, and the rows: fields, seeds, accuracies, differences.

    Accuracies are percents: of one run with half of their 95 % interval, of several with the
    standard deviation over seeds.
    """
    groups = comparison.groups
    titles = [recipes_apart.title(group) for group in groups]
    if len(set(titles)) < len(titles):
        titles = [group[0].label for group in groups]
    rows = [[name, *values] for name, values in comparison.fields]
    rows.append(["seeds", *(", ".join(str(run.seed) for run in group) for group in groups)])
    for row in comparison.rows:
        rows.append([f"{row.name}, %", *map(_shown, row.cells)])
        if any(each is not None for each in row.differences):
            to_first = f"  difference to {titles[0]}, points"
            rows.append([to_first, *map(_shown_difference, row.differences)])
    return ["", *titles], rows


def explanations(comparison: Comparison) -> list[str]:
    """Sentences below the table: how it is to be read, and what must be known."""
    said = []
    if any(len(group) > 1 for group in comparison.groups):
        said.append("± sd is the standard deviation over seeds.")
    said.append(
        "± alone is half of the 95 % interval that the test images leave, of few labels that the "
        "draws leave."
    )
    differences = [each for row in comparison.rows for each in row.differences if each is not None]
    if differences:
        said.append(
            "In brackets the 95 % interval of the difference on the same test images, by the "
            f"paired bootstrap ({paired.RESAMPLES:,} resamples). It counts the luck of the test "
            "images, not that of training, which seeds show."
        )
    if any(each.p is not None for each in differences):
        said.append("p is of McNemar's exact test, each by itself, however many are read.")
    return said + list(comparison.notes)


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return recipes_apart.MISSING
    return measurements.percent(cell.accuracies, cell.half_width, cell.notes)


def _shown_difference(difference: paired.Difference | None) -> str:
    if difference is None:
        return ""
    mean, low, high = (100 * each for each in difference[:3])
    text = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    if difference.p is None:
        return text
    return f"{text}, p = {difference.p:.2g}" if difference.p >= 1e-4 else f"{text}, p < 0.0001"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').strip() for cell in cells)} |"
