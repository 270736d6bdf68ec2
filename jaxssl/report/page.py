"""A page of one file: pictures inside it, tables, each with a sentence; nothing is loaded."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

# Light and dark by the reader's system; what is wider than a phone scrolls by itself.
_STYLE = """\
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1b1b;--soft:#555;--line:#ccc;--tint:#f4f4f2}
@media (prefers-color-scheme:dark){:root{--paper:#16181a;--ink:#e8e6e3;--soft:#a9a7a3;
--line:#44474a;--tint:#202326}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;
margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 1rem}
h2{font-size:1.2rem;margin:2.5rem 0 .4rem;border-top:1px solid var(--line);padding-top:1rem}
p{max-width:46rem;margin:.4rem 0 .8rem}
.lead{font-size:1.1rem}
.scroll{overflow-x:auto}
img,svg{display:block;max-width:100%;height:auto}
img{border-radius:4px}
svg text{fill:var(--ink);font-family:inherit!important}
table{border-collapse:collapse}
th,td{border:1px solid var(--line);padding:.35em .6em;text-align:left;vertical-align:top}
thead th{background:var(--tint)}
.numbers td{font-variant-numeric:tabular-nums}
.numbers tbody th{font-weight:normal;color:var(--soft)}
.texts td{font-family:monospace;white-space:pre-wrap;min-width:10em}
.shares td{text-align:right;font-variant-numeric:tabular-nums;
background:color-mix(in srgb,#0072B2 calc(var(--share)*.6%),transparent)}
.facts th{width:8em}
.facts td{overflow-wrap:anywhere}
@media (max-width:44rem){.scroll img,.scroll svg{max-width:none}}"""
_PHONE = 275.0  # points that a drawing may be wide and still be read at the width of a phone


class Picture(NamedTuple):
    """One picture of the page.

    Attributes:
        title: above it.
        sentence: about it; where it was not drawn, why.
        path: its file, a PNG or an SVG; None: not drawn.
        alt: what is to be seen, for readers who do not see it; the sentence where there is none.
    """

    title: str
    sentence: str
    path: Path | None
    alt: str = ""


class Table(NamedTuple):
    """Cells side by side.

    Attributes:
        title: above it.
        sentence: about it.
        heads: of the columns; none where the first cell of every row says it all.
        rows: as many cells each.
        kind: texts as they are, line ends and all; or numbers, shares in percent, which tint
            their cells, or facts, of which the first of a row names it.
        folded: shown when it is asked for.
    """

    title: str
    sentence: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: Literal["texts", "numbers", "shares", "facts"] = "texts"
    folded: bool = False


def render(name: str, parts: Sequence[Picture | Table], *, lead: str = "") -> str:
    """The page as HTML, everything in it.

    Args:
        name: the heading.
        parts: in order; of a picture that was not drawn there is the sentence.
        lead: a sentence below the heading, before everything else.
    """
    sections = []
    for part in parts:
        sections.append(f"<section>\n<h2>{html.escape(part.title)}</h2>")
        if part.sentence:
            sections.append(f"<p>{html.escape(part.sentence)}</p>")
        if isinstance(part, Table):
            sections.append(_table(part))
        elif part.path is not None:
            sections.append(_picture(part.path, part))
        sections.append("</section>")
    first = f'<p class="lead">{html.escape(lead)}</p>\n' if lead else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(name)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(name)}</h1>\n{first}" + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def _picture(path: Path, picture: Picture) -> str:
    alt = html.escape(picture.alt or picture.sentence)
    if path.suffix == ".svg":
        drawing = _inlined(path, alt)
        width = re.search(r'<svg [^>]*?width="([\d.]+)pt"', drawing)
        kind = "fits" if width and float(width[1]) <= _PHONE else "scroll"
        return f'<div class="{kind}">{drawing}</div>'
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<div class="scroll"><img src="data:image/png;base64,{data}" alt="{alt}"></div>'


def _inlined(path: Path, alt: str) -> str:
    """A drawing as a part of the page: names of its own, since others on the page have the same."""
    _, found, drawing = path.read_text().partition("<svg ")
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{path.stem}-", found + drawing)
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)


def _table(table: Table) -> str:
    opening = "<td>" if table.kind == "texts" else '<th scope="row">'
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in table.heads)
    lines = [f'<div class="scroll"><table class="{table.kind}">']
    if heads:
        lines.append(f"<thead><tr>{heads}</tr></thead>")
    lines.append("<tbody>")
    for first, *others in table.rows:
        cells = "".join(_cell(text, tinted=table.kind == "shares") for text in others)
        closing = opening.split()[0].strip("<>")
        lines.append(f"<tr>{opening}{html.escape(first)}</{closing}>{cells}</tr>")
    shown = "\n".join([*lines, "</tbody></table></div>"])
    return f"<details><summary>Show</summary>\n{shown}\n</details>" if table.folded else shown


def _cell(text: str, *, tinted: bool) -> str:
    style = f' style="--share:{text or 0}"' if tinted else ""
    return f"<td{style}>{html.escape(text)}</td>"
