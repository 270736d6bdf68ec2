"""Docstrings as the site shows them: sources are a paragraph, an example is code."""

import re

import griffe

# Google's style would take it for the title of a box, and the lines after the first for its text.
_SOURCE = re.compile(r"^(Sources?): (?=\S)(.*(?:\n(?![ ]*$).+)*)", re.MULTILINE)
# A section of Google's style has the plural; the singular would be a box of prose.
_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Sources(griffe.Extension):
    """Writes what Google's style would take for something else in another way."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Called with everything that has been read."""
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)


def plain(docstring: str) -> str:
    """The docstring with its sources as an ordinary paragraph, its example as a section."""

    def paragraph(match: re.Match) -> str:
        return f"**{match[1]}:** {' '.join(match[2].split())}"

    return _EXAMPLE.sub("Examples:", _SOURCE.sub(paragraph, docstring))
