"""The audit as a table: one line and one verdict for each measurement."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "shortcut": "bold red",
    "not solved": "red",
    "not useful": "red",
    "not better than pixels": "yellow",
    "not judged": "dim",
}


def show(record: Mapping, console: Console) -> None:
    """Prints the record of an audit.

    Args:
        record: what ``audit.audit_run`` or ``audit.audit_recipe`` returned.
        console: where to.
    """
    results = record["results"]
    for line in results["lines"]:
        console.out(line, highlight=False)
    if not results["rows"]:
        return
    table = Table("requirement", "measured", "value (95 %)", "chance", "skill", "verdict")
    before = None
    for row in results["rows"]:
        requirement = row["requirement"] if row["requirement"] != before else ""
        if before is not None and requirement:
            table.add_section()
        before = row["requirement"]
        colour = _COLOURS.get(row["verdict"], "green")
        table.add_row(
            requirement,
            Text(row["name"]),
            _value(row),
            "" if row["chance"] is None else f"{100 * row['chance']:.1f} %",
            "" if row["skill"] is None else f"{100 * row['skill']:.1f} %",
            Text(row["verdict"], style=colour),
        )
    console.print(table, soft_wrap=False)
    console.out(verdict(record), highlight=False)


def verdict(record: Mapping) -> str:
    """The audit in one line."""
    results = record["results"]
    found = results["shortcuts"]
    if found:
        return f"Verdict: SHORTCUT found ({', '.join(found)})."
    if any(row["verdict"] == "clear" for row in results["rows"]):
        return "Verdict: no shortcut found."
    return "Verdict: shortcuts were not judged."


def _value(row: Mapping) -> str:
    if row["unit"] == "loss":
        return f"loss {row['value']:.4g} ({row['low']:.4g} … {row['high']:.4g})"
    sign = "+" if row["unit"] == "gain" else ""
    value, low, high = (100 * row[name] for name in ("value", "low", "high"))
    return f"{value:{sign}.1f} % ({low:{sign}.1f} … {high:{sign}.1f})"
