"""Draws the floors of the package into docs/architecture.md, from its imports.

    python docs/draw_architecture.py          writes the picture
    python docs/draw_architecture.py --check  says whether it is the one that is there (exit status)

A room is a folder of ``jaxssl/``, or a file that lies at its top or in ``runs/``. It stands one
floor above the highest room that it imports, so that every arrow points down.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jaxssl"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- floors: drawn by docs/draw_architecture.py -->", "<!-- end of floors -->"
OPENED = {"runs"}  # folders whose files are rooms of their own
LEFT_OUT = {"__init__", "__main__", "recipes"}  # names for the outside, and configs/ in the wheel


def rooms() -> dict[str, set[str]]:
    """Every room, and the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        own = room_of(path.relative_to(PACKAGE).with_suffix("").parts)
        if own.partition(".")[0] not in LEFT_OUT:
            used = {room for name in imports(path) if (room := room_of_import(name))}
            found.setdefault(own, set()).update(used - {own})
    return {room: used & found.keys() for room, used in found.items()}


def imports(path: Path) -> Iterator[str]:
    """The dotted names of everything of jaxssl that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of_import(name: str) -> str | None:
    """The room that an imported name lies in; None outside of jaxssl."""
    top, _, rest = name.partition(".")
    return room_of(tuple(rest.split("."))) if top == "jaxssl" and rest else None


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module, given by its path below the package."""
    if parts[0] in OPENED and len(parts) > 1 and parts[1] != "__init__":
        return ".".join(parts[:2])
    return parts[0]


def floors(used: dict[str, set[str]]) -> list[list[str]]:
    """The rooms by floor, the ground floor first.

    Raises:
        ValueError: rooms that import each other in a circle.
    """
    levels: dict[str, int] = {}

    def level(room: str, above: tuple[str, ...] = ()) -> int:
        if room in above:
            raise ValueError(f"a circle of imports: {' > '.join((*above, room))}")
        if room not in levels:
            levels[room] = 1 + max((level(each, (*above, room)) for each in used[room]), default=-1)
        return levels[room]

    for room in used:
        level(room)
    return [
        sorted(room for room in levels if levels[room] == floor)
        for floor in range(max(levels.values()) + 1)
    ]


def drawing() -> str:
    """The floors as text, the top one first; behind a room what it imports of the floor below."""
    used = rooms()
    by_floor = floors(used)
    lines = []
    for number, names in reversed(list(enumerate(by_floor))):
        lines.append(f"{number:>2}  {'   '.join(names)}")
    arrows = sum(map(len, used.values()))
    lines.append(f"\n{len(used)} rooms, {arrows} arrows, all of them down")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def drawn(page: str) -> str:
    """The page with today's floors between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{drawing()}{END}{after}"


def main() -> int:
    """Writes or checks the page; returns the exit status."""
    page = PAGE.read_text()
    if "--check" in sys.argv[1:]:
        return int(drawn(page) != page)
    PAGE.write_text(drawn(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
