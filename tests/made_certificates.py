"""Certificates and keys in memory, as tests sign photos with them; needs the extra `c2pa`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Issues certificates for tests: a root, and one below it that issues.

    Args:
        days: From when to when its certificates are valid, in days from now.
    """

    def __init__(self, days: tuple[float, float] = (-1, 30)) -> None:
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = certificate("root", self.root_key, "root", self.root_key, is_authority=True)
        self.own = certificate("office", self.key, "root", self.root_key, is_authority=True, days=days)

    def issue(self, key: Any, **options: Any) -> x509.Certificate:
        """A certificate of a key; options are those of `certificate`."""
        return certificate("signer", key, "office", self.key, **options)


class SignerFiles(NamedTuple):
    """What a user has."""

    chain: Path
    key: Path

    @property
    def options(self) -> list[str]:
        """As the command line takes them."""
        return ["--c2pa-cert", str(self.chain), "--c2pa-key", str(self.key)]


def certificate(
    name: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    *,
    is_authority: bool = False,
    days: tuple[float, float] = (-1, 30),
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> x509.Certificate:
    """A certificate as C2PA wants it; `usage` None leaves the extended usage out."""
    now = datetime.now(timezone.utc)
    signs = not is_authority
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(signs, False, False, False, False, is_authority, is_authority, False, False),
            critical=True,
        )
    )
    if signs and usage is not None:
        is_for_time = usage == ExtendedKeyUsageOID.TIME_STAMPING
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=is_for_time)
    return builder.sign(
        issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    )


def pem(thing: Any, passphrase: str = "") -> bytes:
    """A certificate, or a private key, as text."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(forms.Encoding.PEM)
    lock = forms.BestAvailableEncryption(passphrase.encode()) if passphrase else forms.NoEncryption()
    return thing.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, lock)


def signer_files(folder: Path, key: Any = None, **options: Any) -> SignerFiles:
    """Files of a chain and its key; options are those of `certificate`."""
    authority, key = Authority(), key or ec.generate_private_key(ec.SECP256R1())
    files = SignerFiles(folder / "chain.pem", folder / "key.pem")
    files.chain.write_bytes(pem(authority.issue(key, **options)) + pem(authority.own))
    files.key.write_bytes(pem(key))
    return files


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
