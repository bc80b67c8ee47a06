"""Content credentials (C2PA): results signed with the user's certificate, their original photo as an ingredient.

Needs the extra `c2pa`. Nothing is fetched, neither manifests that lie elsewhere nor lists of revoked certificates; only
a timestamp authority is asked, where one is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from exprgan.errors import ExprganError, UsageError
from exprgan.photos import keys
from exprgan.photos.decode import HEAD_BYTES, one_line, reason, sniff
from exprgan.photos.metadata import CREDENTIALS_LEFT_OUT, TRAINED_COMPOSITE, has_content_credentials
from exprgan.photos.photo import Photo
from exprgan.version import __version__

MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "HEIF": "image/heic",
    "MP4": "video/mp4",
    "BMP": "image/bmp",
}
UNSIGNABLE = ("BMP",)
"""Formats that cannot hold a manifest."""
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # they show the old face
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


class _Ingredient(NamedTuple):
    """A photo as the manifest names it."""

    entry: dict[str, str]
    data: bytes  # of its file; empty if its own credentials cannot be taken over
    note: str  # what became of these, if there are any


@dataclass(frozen=True)
class Signer:
    """A certificate and its key; `from_files` reads and checks them. May be used by several threads.

    Attributes:
        certificates: PEM of the chain, the signer's own first.
        key: PEM of the private key, PKCS #8, not encrypted.
        algorithm: C2PA's name: es256, es384, es512, ps256 or ed25519.
        timestamp_url: Address of an RFC 3161 authority that says when a file was signed; None asks none.
    """

    certificates: bytes
    key: bytes = field(repr=False)
    algorithm: str
    timestamp_url: str | None = None

    @classmethod
    def from_files(
        cls,
        certificates: Path | str,
        key: Path | str,
        *,
        passphrase: str | None = None,
        timestamp_url: str | None = None,
    ) -> Signer:
        """A signer whose certificates and key are tried out, timestamp authority included.

        Args:
            certificates: PEM file of the chain, the signer's own certificate first, its root may be left out.
            key: PEM file of the private key: P-256, P-384, P-521, RSA of at least 2,048 bits, or Ed25519.
            passphrase: Of the key, if it is encrypted.
            timestamp_url: Address of an RFC 3161 timestamp authority.

        Raises:
            UsageError: A file cannot be read, the two do not belong together, a certificate is expired, self-signed or
                not meant for this, the authority does not answer, or the extra is missing.
        """
        _library()
        if timestamp_url is not None and not timestamp_url.startswith(("http://", "https://")):
            raise UsageError(
                f"The timestamp authority {timestamp_url} is no address; give one that begins with http:// or https://."
            )
        chain = keys.read_certificates(Path(certificates))
        private = keys.read_key(Path(key), passphrase)
        keys.check_chain(chain, Path(certificates))
        keys.check_pair(chain, private, Path(certificates), Path(key))
        from cryptography.hazmat.primitives import serialization

        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        texts = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain]
        signer = cls(b"".join(texts), pem, keys.algorithm_of(private, Path(key)), timestamp_url)
        signer._try_out(Path(certificates))
        return signer

    @property
    def fingerprint(self) -> str:
        """sha256 of the chain, which tells results of one certificate from those of another."""
        return hashlib.sha256(self.certificates).hexdigest()

    def sign(
        self,
        data: bytes,
        kind: str,
        original: Photo,
        *,
        title: str = "",
        edit: str = "",
        weights: str = "",
        also: Sequence[str] = (),
        used: Sequence[Photo] = (),
        strip_metadata: bool = False,
    ) -> bytes:
        """A file with a signed manifest in it; its pixels and metadata stay as they are.

        Args:
            data: The file without a manifest.
            kind: Its format, as `Photo.format` or MP4.
            original: The photo that it was made of, as read from a file; its own credentials are kept.
            title: Name of the file.
            edit: What a trained model has edited; empty for nothing.
            weights: Name and hash of the weights.
            also: C2PA's names of what else was done, such as c2pa.cropped.
            used: Photos that something was taken from.
            strip_metadata: Leave out the photos' own credentials, which may say where and by whom they were taken.

        Raises:
            UsageError: The format holds no manifest, or the original comes from no file.
            ExprganError: It cannot be signed.
        """
        check_format(kind, title)
        others = [photo for photo in used if photo.source != original.source]
        if not all(photo.source for photo in (original, *others)):
            raise UsageError(
                "Content credentials name the original photo; edit a file by its path or bytes, no array."
            )
        keep = not strip_metadata
        parent = self._ingredient(original, "parentOf", "original", keep=keep)
        inputs = [
            self._ingredient(photo, "inputTo", f"input-{place}", keep=keep)
            for place, photo in enumerate(others)
        ]
        digest = hashlib.sha256(original.source).hexdigest()
        actions: list[dict[str, Any]] = [_action("c2pa.opened", [parent], {"exprgan.sha256": digest})]
        if edit:
            about = {"exprgan.edit": edit, **({"exprgan.weights": weights} if weights else {})}
            agent = {"name": "exprgan", "version": __version__}
            model = {"softwareAgent": agent, "digitalSourceType": TRAINED_COMPOSITE}
            actions.append({**_action("c2pa.edited", inputs, about), **model})
        converted = ["c2pa.converted"] if MIME_TYPES[kind] != parent.entry["format"] else []
        actions += [_action(name) for name in (*also, *converted)]
        try:
            return self._signed(data, kind, title, actions, [parent, *inputs])
        except _library().C2paError as error:
            raise ExprganError(
                f"{title or 'The result'} cannot be signed ({_said(error)}); try again, or leave out the certificate."
            ) from error

    def notes(self, photo: Photo, *, strip_metadata: bool = False) -> tuple[str, ...]:
        """The photo's notes, those on its content credentials as signed results have them."""
        kept = tuple(note for note in photo.notes if note != CREDENTIALS_LEFT_OUT)
        if len(kept) == len(photo.notes) or strip_metadata:
            return photo.notes
        return (*kept, self._ingredient(photo, "parentOf", "original").note)

    def _ingredient(self, photo: Photo, relationship: str, name: str, *, keep: bool = True) -> _Ingredient:
        """A photo with its credentials as far as they can be read, which is tried out on a picture of one pixel."""
        kind = sniff(photo.source[:HEAD_BYTES], "The original")
        title = one_line(photo.path.name) if photo.path else "original"
        entry = {"title": title, "format": MIME_TYPES[kind], "relationship": relationship, "label": name}
        if not keep:
            return _Ingredient(entry, b"", CREDENTIALS_LEFT_OUT)
        c2pa = _library()
        try:
            with _context() as context:
                reader = c2pa.Reader.try_create(MIME_TYPES[kind], BytesIO(photo.source), None, context)
                with reader or nullcontext():
                    state = reader and reader.get_validation_state()
            whole = _Ingredient(entry, photo.source, _NOTES.get(state, _DAMAGED))
            if state:
                self._without_timestamp()._signed(
                    _one_pixel(), "PNG", "", [_action("c2pa.opened", [whole])], [whole]
                )
        except c2pa.C2paError:
            note = _DAMAGED if has_content_credentials(photo.source, None) else _ELSEWHERE
            return _Ingredient(entry, b"", note)
        return whole

    def _signed(
        self,
        data: bytes,
        kind: str,
        title: str,
        actions: Sequence[Mapping[str, Any]],
        ingredients: Sequence[_Ingredient],
    ) -> bytes:
        c2pa = _library()
        definition = {
            "claim_generator_info": [{"name": "exprgan", "version": __version__}],
            "format": MIME_TYPES[kind],
            **({"title": title} if title else {}),
            "ingredients": [each.entry for each in ingredients if not each.data],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": list(actions), "allActionsIncluded": True}}
            ],
        }
        info = c2pa.C2paSignerInfo(self.algorithm, self.certificates, self.key, self.timestamp_url)
        out = BytesIO()
        with (
            _context() as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(definition, context=context) as builder,
        ):
            for each in ingredients:
                if each.data:
                    builder.add_ingredient(each.entry, each.entry["format"], BytesIO(each.data))
            builder.sign(signer, MIME_TYPES[kind], BytesIO(data), out)
        return out.getvalue()

    def _without_timestamp(self) -> Signer:
        return Signer(self.certificates, self.key, self.algorithm)

    def _try_out(self, path: Path) -> None:
        """Raise unless a picture of one pixel can be signed."""
        c2pa = _library()
        made = [{"action": "c2pa.created", "digitalSourceType": TRAINED_COMPOSITE}]
        try:
            self._without_timestamp()._signed(_one_pixel(), "PNG", "", made, [])
        except c2pa.C2paError as error:
            raise UsageError(
                f"The first certificate of {path} cannot sign content credentials ({_said(error)}); C2PA wants one for "
                "digital signatures with an extended usage such as emailProtection or documentSigning."
            ) from error
        if self.timestamp_url is None:
            return
        try:
            self._signed(_one_pixel(), "PNG", "", made, [])
        except c2pa.C2paError as error:
            raise UsageError(
                f"The timestamp authority {self.timestamp_url} gives no timestamp; check its address and the "
                "network, or leave it out."
            ) from error


_NOTES = {
    "Valid": "Its content credentials (C2PA) are kept in the new ones, as those of the original.",
    "Trusted": "Its content credentials (C2PA) are kept in the new ones, as those of the original.",
    "Invalid": "Its content credentials (C2PA) do not hold for it, and are kept as such in the new ones.",
}
_DAMAGED = "Its content credentials (C2PA) are damaged, so the new ones go without them."
_ELSEWHERE = (
    "Its content credentials (C2PA) lie elsewhere and are not fetched, so the new ones go without them."
)


def check_format(kind: str, name: str = "") -> None:
    """Raise unless files of a format can hold a manifest.

    Raises:
        UsageError: They cannot.
    """
    if kind in UNSIGNABLE:
        raise UsageError(
            f"{name or 'The result'} is a {kind} file, which holds no content credentials; choose JPEG, PNG, WebP, "
            "AVIF or TIFF with --output."
        )


def _library() -> Any:
    """The library of the extra.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import c2pa
        import cryptography  # noqa: F401
    except ImportError as error:
        raise UsageError('Content credentials (C2PA) need an extra: pip install "exprgan[c2pa]".') from error
    return c2pa


def _context() -> Any:
    return _library().Context.from_dict(_SETTINGS)


def _one_pixel() -> bytes:
    file = BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    return file.getvalue()


def _action(
    name: str, ingredients: Sequence[_Ingredient] = (), about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    parameters = dict(about or {})
    if ingredients:
        parameters["ingredientIds"] = [each.entry["label"] for each in ingredients]
    return {"action": name, **({"parameters": parameters} if parameters else {})}


def _said(error: Exception) -> str:
    """What the library says, without the class in front."""
    text = reason(error)
    return text.partition(": ")[2] or text
