"""The page of a report: pictures and tables of texts, each with a sentence about it."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Picture(NamedTuple):
    """One picture of the page: its file (None: not drawn), and a sentence about it."""

    title: str
    sentence: str
    path: Path | None


class Table(NamedTuple):
    """Texts side by side: the heads of the columns, and rows of as many texts each."""

    title: str
    sentence: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def render(name: str, pictures: Sequence[Picture | Table]) -> str:
    """The page as HTML, its images beside it.

    Args:
        name: the heading.
        pictures: in order; of one that was not drawn there is the sentence.
    """
    parts = []
    for picture in pictures:
        title, sentence = html.escape(picture.title), html.escape(picture.sentence)
        parts.append(f"<h2>{title}</h2>\n<p>{sentence}</p>")
        if isinstance(picture, Table):
            parts.append(_table(picture))
        elif picture.path is not None:
            parts.append(f'<img src="{picture.path.name}" alt="{title}">')
    style = (
        "body{font-family:sans-serif;max-width:62em;margin:2em auto;padding:0 1em} "
        "table{border-collapse:collapse;display:block;overflow-x:auto} "
        "th,td{border:1px solid #999;padding:.4em;text-align:left;vertical-align:top} "
        "td{font-family:monospace;white-space:pre-wrap;min-width:10em}"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(name)}</title>\n<style>{style} img{{max-width:100%}}</style>\n"
        f"</head>\n<body>\n<h1>{html.escape(name)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    """The texts as they are, line ends and all."""
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in table.heads)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in table.rows
    )
    return f"<table>\n<tr>{heads}</tr>\n{rows}\n</table>"
