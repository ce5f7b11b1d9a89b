"""Commands as people read them and as shells take them."""

import shlex


def quoted(words) -> str:
    """One line that a shell splits into these words again."""
    return " ".join(shlex.quote(str(word)) for word in words)
