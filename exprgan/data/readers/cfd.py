"""Chicago Face Database with its extensions: `CFD/AF-212/CFD-AF-212-097-N.jpg`.

The name says group and sex (AF: Asian female), who, the number of the picture, and the expression: N neutral,
A angry, F fearful, HO happy with an open mouth, HC happy with a closed one (https://www.chicagofaces.org).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from exprgan.data.readers import Problem, Record, key_of, pictures_below, relative_name
from exprgan.expressions import expression_index

CODES = {"N": "neutral", "A": "anger", "F": "fear", "HO": "happy", "HC": "happy"}
PATTERN = re.compile(rf"CFD-(?P<subject>[A-Z]{{2}}-\d+)-\d+-(?P<code>{'|'.join(CODES)})", re.IGNORECASE)


def read(folder: Path) -> Iterator[Record | Problem]:
    """The pictures of a CFD folder; the split is left to the subjects."""
    for path in pictures_below(folder):
        name = relative_name(path, folder)
        parts = PATTERN.fullmatch(path.stem)
        if parts is None:
            yield Problem(name, "the name is none of CFD's")
        else:
            expression = expression_index(CODES[parts["code"].upper()])
            yield Record(key_of(name), path, expression, subject=parts["subject"].upper())
