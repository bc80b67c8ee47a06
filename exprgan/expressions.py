"""The eight expressions, in AffectNet's label order, and the names people use for them."""

import difflib

from exprgan.errors import UsageError

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
"""Position in this tuple = class index of every network and label."""

ALIASES = {
    "calm": "neutral",
    "none": "neutral",
    "happiness": "happy",
    "joy": "happy",
    "smile": "happy",
    "smiling": "happy",
    "sadness": "sad",
    "unhappy": "sad",
    "surprised": "surprise",
    "astonished": "surprise",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "disgusted": "disgust",
    "angry": "anger",
    "mad": "anger",
    "contemptuous": "contempt",
    "smirk": "contempt",
}


def parse_expression(name: str) -> str:
    """One of `EXPRESSIONS` for a name or alias, whatever its case.

    Raises:
        UsageError: The name is unknown; the message names the nearest known one.

    >>> parse_expression("Smile")
    'happy'
    """
    word = name.strip().lower()
    word = ALIASES.get(word, word)
    if word in EXPRESSIONS:
        return word
    near = difflib.get_close_matches(word, [*EXPRESSIONS, *ALIASES], n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(EXPRESSIONS)}."
    raise UsageError(f"There is no expression {name!r}; {hint}")


def expression_index(name: str) -> int:
    """Class index of an expression name or alias."""
    return EXPRESSIONS.index(parse_expression(name))
