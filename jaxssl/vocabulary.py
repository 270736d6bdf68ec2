"""The two tokens of every vocabulary that stand for no text: its last two numbers.

A vocabulary of M numbers has M - 2 pieces of text, 0 … M-3; then come the separator, which stands
before every document, and the mask, which hides a token. Data, encoders and methods agree on that
without asking each other.
"""

NUM_SPECIAL = 2
BYTES = 256 + NUM_SPECIAL  # the vocabulary of bytes


def separator(vocabulary: int) -> int:
    """The token before every document, of a vocabulary of M numbers."""
    return vocabulary - 2


def mask(vocabulary: int) -> int:
    """The token that hides another."""
    return vocabulary - 1
