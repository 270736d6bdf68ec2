"""Words for a terminal: names that were mistyped, names in columns, tables."""

import difflib
from collections.abc import Collection, Iterable, Sequence

CUTOFF = 0.6  # of difflib's similarity in [0, 1]: two letters of five may differ
MIN_PART = 3  # letters of a word that is near wherever it is a part


def nearest(word: str, words: Iterable[str]) -> str:
    """`` Did you mean "x"?`` with the nearest of some words, for the end of a message.

    Args:
        word: what was typed.
        words: what it might have been; capitals and small letters count as the same.

    Returns:
        The sentence with a space before it; nothing where no word is near.
    """
    found = find_nearest(word, words)
    return "" if found is None else f' Did you mean "{found}"?'


def find_nearest(word: str, words: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """The nearest of some words; None where none is near.

    Near is what is spelt alike, and what contains the word. Arguments as of ``nearest``.

    Args:
        word: what was typed.
        words: what it might have been.
        cutoff: how much alike the spellings must be.
    """
    by_lower = {each.lower(): each for each in words}
    word = word.lower()
    close = difflib.get_close_matches(word, by_lower, n=1, cutoff=cutoff)
    if not close and len(word) >= MIN_PART:
        containing = [each for each in by_lower if word in each]
        close = difflib.get_close_matches(word, containing, n=1, cutoff=0.0)
    return by_lower[close[0]] if close else None


def printable(name: str) -> str:
    """A name that can be printed, drawn and written as UTF-8, whatever bytes a file system holds.

    Args:
        name: of a file or folder, as Python has it: bytes that are no UTF-8 are surrogates.

    Returns:
        The same with such bytes, line breaks and other control characters escaped, as in
        ``\\xe9lan``.
    """
    return "".join(each if each.isprintable() else _escaped(each) for each in name)


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def columns(words: Collection[str], *, width: int = 80) -> str:
    """Words below each other in as many columns as fit, in the order of reading down.

    Args:
        words: at least one, in order.
        width: characters of a line, which no line exceeds unless one word does.

    Returns:
        Lines that begin with two spaces.
    """
    words = list(words)
    cell = max(map(len, words)) + 2
    num_columns = max(width // cell, 1)
    num_rows = -(-len(words) // num_columns)
    rows = (words[row::num_rows] for row in range(num_rows))
    return "\n".join("".join(f"  {word:<{cell - 2}}" for word in row).rstrip() for row in rows)


def table(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """Rows below each other, their cells in columns two spaces apart.

    Args:
        rows: at least one, of the same number of cells.
        numbers: whether the cells after the first of a row stand at the right of their column.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align = str.rjust if numbers else str.ljust
    lines = (
        "  ".join((first.ljust(widths[0]), *map(align, rest, widths[1:]))) for first, *rest in rows
    )
    return "\n".join(line.rstrip() for line in lines)
