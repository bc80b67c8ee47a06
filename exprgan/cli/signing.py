"""The options of content credentials (C2PA), checked before any photo is edited."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from exprgan.errors import UsageError

if TYPE_CHECKING:
    from exprgan.edit.plan import Plan
    from exprgan.photos.credentials import Signer


def signer_of(
    certificate: Path | None,
    key: Path | None,
    timestamp: str | None,
    *,
    no_provenance: bool,
    dry_run: bool = False,
) -> Signer | None:
    """The signer that the options mean; None where there are none. A dry run asks no timestamp authority.

    Raises:
        UsageError: They do not go together, or the certificate cannot sign.
    """
    if certificate is None and key is None:
        if timestamp is not None:
            raise UsageError("--c2pa-timestamp goes with --c2pa-cert and --c2pa-key; give these, too.")
        return None
    if certificate is None or key is None:
        there, missing = (
            ("--c2pa-key", "--c2pa-cert") if certificate is None else ("--c2pa-cert", "--c2pa-key")
        )
        raise UsageError(f"{there} is not enough to sign; give {missing}, too.")
    if no_provenance:
        raise UsageError("--no-provenance and --c2pa-cert say two things; give one of them.")
    from exprgan.photos.credentials import Signer
    from exprgan.photos.keys import PASSPHRASE_VARIABLE

    return Signer.from_files(
        certificate,
        key,
        passphrase=os.environ.get(PASSPHRASE_VARIABLE),
        timestamp_url=None if dry_run else timestamp,
    )


def check_results(signer: Signer | None, paths: Iterable[Path]) -> None:
    """Raise unless all files of a signer can hold content credentials, as far as their names tell.

    Raises:
        UsageError: One cannot.
    """
    from exprgan.photos.credentials import check_format
    from exprgan.photos.image_io import EXTENSIONS

    if signer is not None:
        for path in paths:
            check_format(EXTENSIONS.get(path.suffix.lower(), ""), str(path))


def results_of(plan: Plan) -> list[Path]:
    """The edited photos that a plan writes, sheets left out."""
    return [path for job in plan.jobs for path in job.outputs.values()]
