"""Training, validation and test by subject, the same on every machine and whatever else a set holds."""

from __future__ import annotations

import hashlib

from exprgan.data.readers import Record

TEST_SHARE, VAL_SHARE = 0.1, 0.1


def split_of(name: str, record: Record) -> str:
    """Train, val or test: as the set's makers have it, else by the subject's place on a wheel.

    All pictures of a subject are in one split. Where the set does not say who is who, each picture counts as
    a subject of its own, and nothing keeps the same person from being in two splits.

    Args:
        name: The set, so that number 7 of one set and number 7 of another are drawn independently.
        record: A picture of it.
    """
    if record.split:
        return record.split
    who = f"{name}/{record.subject}" if record.subject else f"{name}//{record.key}"
    place = int.from_bytes(hashlib.sha256(who.encode()).digest()[:8], "big") / 2**64
    return "test" if place < TEST_SHARE else "val" if place < TEST_SHARE + VAL_SHARE else "train"
