"""Karolinska Directed Emotional Faces: `KDEF/AF01/AF01AFS.JPG`.

The name says session (A or B), sex (F or M), who (01 to 35), expression and view: S straight, HL and HR half,
FL and FR full profile (https://www.kdef.se). Both sessions show the same 70 people, so the subject is sex and
number. A few files of the release have broken names; they are reported, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from exprgan.data.readers import Problem, Record, key_of, pictures_below, relative_name
from exprgan.expressions import expression_index

CODES = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
PATTERN = re.compile(
    rf"[AB](?P<subject>[FM]\d\d)(?P<code>{'|'.join(CODES)})(?P<view>FL|HL|S|HR|FR)", re.IGNORECASE
)


def read(folder: Path) -> Iterator[Record | Problem]:
    """The pictures of a KDEF folder; the split is left to the subjects."""
    for path in pictures_below(folder):
        name = relative_name(path, folder)
        parts = PATTERN.fullmatch(path.stem)
        if parts is None:
            yield Problem(name, "the name is none of KDEF's")
        elif parts["view"].upper() in ("FL", "FR"):
            yield Problem(name, "a profile, which shows half a face")
        else:
            expression = expression_index(CODES[parts["code"].upper()])
            yield Record(key_of(name), path, expression, subject=parts["subject"].upper())
