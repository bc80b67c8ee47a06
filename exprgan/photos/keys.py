"""Certificates and private keys that files are signed with, as PEM files of the user.

Needs the package cryptography, which comes with the extra `c2pa`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from exprgan.errors import UsageError
from exprgan.photos.decode import reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

PASSPHRASE_VARIABLE = "EXPRGAN_C2PA_PASSPHRASE"
"""Environment variable with the passphrase of an encrypted key."""
LEAST_RSA_BITS = 2048
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def read_certificates(path: Path) -> list[Certificate]:
    """The certificates of a PEM file, in its order.

    Raises:
        UsageError: It cannot be read or holds none.
    """
    from cryptography import x509

    data = _file(path, "certificate chain")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd names and numbers in certificates
            return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise UsageError(
            f"{path} holds no certificate in PEM; give the chain as text that begins with -----BEGIN CERTIFICATE-----."
        ) from error


def read_key(path: Path, passphrase: str | None) -> PrivateKeyTypes:
    """The private key of a PEM file; a passphrase that is not needed does no harm.

    Raises:
        UsageError: It cannot be read, holds none, or the passphrase is missing or another.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _file(path, "private key")
    try:
        try:
            return load_pem_private_key(data, passphrase.encode() if passphrase else None)
        except TypeError:  # a passphrase is missing, or not needed
            if not passphrase:
                raise UsageError(
                    f"The private key {path} is encrypted; put its passphrase into the environment variable "
                    f"{PASSPHRASE_VARIABLE}."
                ) from None
            return load_pem_private_key(data, None)
    except (ValueError, UnsupportedAlgorithm) as error:
        is_encrypted = passphrase and b"ENCRYPTED" in data
        raise UsageError(
            f"The passphrase in {PASSPHRASE_VARIABLE} does not open the private key {path}; check it."
            if is_encrypted
            else f"{path} holds no private key in PEM; give one as text that begins with -----BEGIN PRIVATE KEY-----."
        ) from error


def algorithm_of(key: PrivateKeyTypes, path: Path) -> str:
    """C2PA's name of the signatures that a key makes.

    Raises:
        UsageError: C2PA allows no such key.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS:
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise UsageError(
        f"The private key {path} is of a kind that C2PA does not allow; use P-256, P-384, P-521, Ed25519 or RSA of at "
        f"least {LEAST_RSA_BITS} bits."
    )


def check_chain(chain: Sequence[Certificate], path: Path) -> None:
    """Raise unless each certificate is valid now and issued by the next.

    Raises:
        UsageError: One is not, or the first is self-signed.
    """
    now = datetime.now(timezone.utc)
    for place, certificate in enumerate(chain, 1):
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now > last:
            raise UsageError(
                f"Certificate {place} of {path} expired on {last:%Y-%m-%d}; get a new one from its issuer."
            )
        if now < first:
            raise UsageError(
                f"Certificate {place} of {path} is valid from {first:%Y-%m-%d %H:%M} UTC on; wait, or check this "
                "machine's clock."
            )
    if _is_issued_by(chain[0], chain[0]):
        raise UsageError(
            f"The first certificate of {path} is self-signed, which C2PA does not allow; give one that an authority "
            "(it may be your own) has issued, followed by the authority's."
        )
    for place, (certificate, issuer) in enumerate(pairwise(chain), 1):
        if not _is_issued_by(certificate, issuer):
            raise UsageError(
                f"Certificate {place} of {path} is not issued by the one after it; order the chain from the signer's "
                "own certificate to the root, each once."
            )


def _is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError):
        return False
    except (UnsupportedAlgorithm, TypeError):  # a kind of signature that is not known here
        return certificate.issuer == issuer.subject
    return True


def check_pair(chain: Sequence[Certificate], key: PrivateKeyTypes, path: Path, key_path: Path) -> None:
    """Raise unless the key is that of the first certificate.

    Raises:
        UsageError: It is not.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    own = key.public_key().public_bytes(*form)
    places = [place for place, each in enumerate(chain) if each.public_key().public_bytes(*form) == own]
    if 0 in places:
        return
    if places:
        raise UsageError(
            f"The private key {key_path} belongs to certificate {places[0] + 1} of {path}; put that one first."
        )
    raise UsageError(
        f"The private key {key_path} does not belong to the first certificate of {path}; give the two that were made "
        "together."
    )


def _file(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"The {what} {path} cannot be read ({reason(error)}); name a PEM file.") from error
