"""What to say to somebody who mistyped a name."""

import difflib
from collections.abc import Iterable

CUTOFF = 0.4  # of difflib's similarity in [0, 1]: two letters of five may differ


def nearest(word: str, words: Iterable[str]) -> str:
    """`` Did you mean "x"?`` with the nearest of some words, for the end of a message.

    Args:
        word: what was typed.
        words: what it might have been; capitals and small letters count as the same.

    Returns:
        The sentence with a space before it; nothing where no word is near.
    """
    by_lower = {each.lower(): each for each in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=CUTOFF)
    return f' Did you mean "{by_lower[close[0]]}"?' if close else ""
