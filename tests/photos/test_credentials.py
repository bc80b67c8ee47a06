"""Content credentials: what is signed, by whom, and what is left as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exprgan.errors import ExprganError, UnreadableImage, UsageError
from exprgan.photos import image_io
from exprgan.photos.credentials import MIME_TYPES, Signer
from exprgan.photos.metadata import CREDENTIALS_LEFT_OUT, TRAINED_COMPOSITE
from exprgan.photos.photo import Photo
from exprgan.version import __version__
from tests.photos import made_files as made
from tests.photos.damaged_files import damaged

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed; pip install -e '.[c2pa]'")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: E402

from tests import made_certificates as certs  # noqa: E402
from tests.made_certificates import SignerFiles, pem, signer_files  # noqa: E402

EDIT = "happy, strength 1"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SignerFiles:
    return signer_files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def signer(files: SignerFiles) -> Signer:
    return Signer.from_files(*files)


def photo_of(data: bytes, name: str = "holiday.jpg") -> Photo:
    return image_io.read(data, path=Path(name))


def jpeg(**options: object) -> bytes:
    return made.saved(Image.fromarray(made.scene()), "JPEG", quality=90, **options)


def signed(signer: Signer, photo: Photo, kind: str = "", **options: Any) -> bytes:
    kind = kind or photo.format
    data = image_io.encode(photo, made.edited(photo), kind)
    return signer.sign(data, kind, photo, **{"edit": EDIT, "title": "out", **options})


def read(data: bytes, kind: str) -> Any:
    """State and manifest as the library reads them."""
    with c2pa.Reader(MIME_TYPES[kind], BytesIO(data)) as reader:
        return reader.get_validation_state(), reader.get_active_manifest()


def actions(manifest: Any) -> list[Any]:
    found = [entry for entry in manifest["assertions"] if entry["label"] == "c2pa.actions.v2"]
    assert len(found) == 1
    assert found[0]["data"]["allActionsIncluded"] is True
    return found[0]["data"]["actions"]


def failures(data: bytes, kind: str) -> set[str]:
    with c2pa.Reader(MIME_TYPES[kind], BytesIO(data)) as reader:
        found = reader.get_validation_results()["activeManifest"]["failure"]
    return {entry["code"] for entry in found} - {"signingCredential.untrusted"}  # the tests' root is unknown


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_manifest_says_who_edited_what_and_how(signer: Signer, kind: str) -> None:
    photo = photo_of(made.saved(Image.fromarray(made.scene()), kind), f"holiday{made.EXTENSION[kind]}")
    data = signed(signer, photo, title="holiday-happy", weights="corrections 0123")
    state, manifest = read(data, kind)
    assert (state, failures(data, kind)) == ("Valid", set())
    assert manifest["title"] == "holiday-happy"
    assert manifest["claim_generator_info"][0]["name"] == "exprgan"
    assert manifest["signature_info"]["alg"] == "Es256"
    assert manifest["signature_info"]["common_name"] == "signer"
    assert [(one["title"], one["relationship"]) for one in manifest["ingredients"]] == [
        (photo.path.name, "parentOf")
    ]
    opened, edited = actions(manifest)
    assert opened["action"] == "c2pa.opened"
    assert "c2pa.ingredient" in opened["parameters"]["ingredients"][0]["url"]
    assert edited["action"] == "c2pa.edited"
    assert edited["digitalSourceType"] == TRAINED_COMPOSITE
    assert edited["softwareAgent"] == {"name": "exprgan", "version": __version__}
    assert edited["parameters"] == {"exprgan.edit": EDIT, "exprgan.weights": "corrections 0123"}


def _with_everything(kind: str, mode: str) -> bytes:
    deep = {"PNG": made.deep_png, "TIFF": made.deep_tiff}
    if mode == "16 bits":
        return deep[kind](made.deep_scene(3))
    image = Image.fromarray(made.scene(channels=4 if mode == "RGBA" else 3)).convert(mode)
    options: dict[str, Any] = {"exif": b"Exif\0\0" + made.exif_block(1)}
    if kind != "TIFF":
        options["xmp"] = made.XMP
    if mode == "RGB":
        options["icc_profile"] = made.display_p3()
    if kind in ("JPEG", "PNG", "TIFF"):
        options["dpi"] = (300, 300)
    if kind == "JPEG":
        options |= {"comment": b"by hand", "quality": 83, "subsampling": 2}
    return made.saved(image, kind, **options)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *((kind, mode) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF") for mode in ("RGB", "L")),
        *((kind, "RGBA") for kind in ("PNG", "WEBP", "AVIF", "TIFF")),
        *((kind, "CMYK") for kind in ("JPEG", "TIFF")),
        *((kind, "16 bits") for kind in ("PNG", "TIFF")),
    ],
)
def test_a_signed_file_holds_all_that_an_unsigned_one_does(signer: Signer, kind: str, mode: str) -> None:
    photo = photo_of(_with_everything(kind, mode))
    plain = image_io.encode(photo, made.edited(photo))
    with_manifest = signer.sign(plain, kind, photo, edit=EDIT)
    before, after = image_io.read(plain), image_io.read(with_manifest)
    assert len(with_manifest) > len(plain)
    assert CREDENTIALS_LEFT_OUT in after.notes
    for each in fields(Photo):
        if each.name in ("notes", "source"):
            continue
        one, two = getattr(before, each.name), getattr(after, each.name)
        assert type(one) is type(two)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, two), each.name
        else:
            assert one == two, each.name
    assert before.exif or mode == "16 bits"
    assert b"compositeWithTrainedAlgorithmicMedia" in after.xmp


def test_the_clip_of_a_motion_photo_stays_at_the_end(signer: Signer) -> None:
    clip = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4
    data = signed(signer, photo_of(jpeg() + clip))
    assert data.endswith(clip)
    assert failures(data, "JPEG") == set()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "Es256"),
        (ec.generate_private_key(ec.SECP384R1()), "Es384"),
        (ec.generate_private_key(ec.SECP521R1()), "Es512"),
        (rsa.generate_private_key(65537, 2048), "Ps256"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_algorithm_is_that_of_the_key(key: Any, name: str, tmp_path: Path) -> None:
    data = signed(Signer.from_files(*signer_files(tmp_path, key)), photo_of(jpeg()))
    state, manifest = read(data, "JPEG")
    assert (state, manifest["signature_info"]["alg"]) == ("Valid", name)


def test_what_a_photo_said_of_itself_is_kept_in_the_new_manifest(signer: Signer) -> None:
    first = signed(signer, photo_of(jpeg()), title="first")
    again = photo_of(first, "first.jpg")
    second = signed(signer, again)
    with c2pa.Reader("image/jpeg", BytesIO(second)) as reader:
        parent = reader.get_active_manifest()["ingredients"][0]["active_manifest"]
        assert reader.get_validation_state() == "Valid"
        assert reader.get_manifest(parent)["title"] == "first"
    assert signer.notes(again) == (
        "Its content credentials (C2PA) are kept in the new ones, as those of the original.",
    )


def test_strip_metadata_leaves_out_what_a_photo_said_of_itself(signer: Signer) -> None:
    again = photo_of(signed(signer, photo_of(jpeg()), title="first"))
    second = signed(signer, again, strip_metadata=True)
    state, manifest = read(second, "JPEG")
    assert state == "Valid"
    assert "active_manifest" not in manifest["ingredients"][0]
    assert b"first" not in second
    assert signer.notes(again, strip_metadata=True) == (CREDENTIALS_LEFT_OUT,)


def test_credentials_that_do_not_hold_are_kept_as_such(signer: Signer) -> None:
    changed = bytearray(signed(signer, photo_of(jpeg())))
    changed[-40] ^= 1  # a pixel
    again = photo_of(bytes(changed))
    state, manifest = read(signed(signer, again), "JPEG")
    assert state == "Valid"
    codes = manifest["ingredients"][0]["validation_results"]["activeManifest"]["failure"]
    assert "assertion.dataHash.mismatch" in {code["code"] for code in codes}
    assert "do not hold" in signer.notes(again)[0]


def test_damaged_credentials_are_left_out_with_a_note(signer: Signer) -> None:
    data = signed(signer, photo_of(jpeg()))
    again = photo_of(data.replace(b"jumdc2cl", b"jumdXXXX"))
    second = signed(signer, again)
    state, manifest = read(second, "JPEG")
    assert (state, failures(second, "JPEG")) == ("Valid", set())
    assert "active_manifest" not in manifest["ingredients"][0]
    assert "are damaged" in signer.notes(again)[0]


def test_any_damage_to_credentials_ends_in_a_valid_file(signer: Signer) -> None:
    data = signed(signer, photo_of(signed(signer, photo_of(jpeg()))))
    at, rng = data.index(b"jumdc2pa"), np.random.default_rng(3)
    states = set()
    for _ in range(60):
        changed = bytearray(data)
        for place in rng.integers(at, at + 6000, 2):
            changed[place] = rng.integers(256)
        again = photo_of(bytes(changed))
        assert read(signed(signer, again), "JPEG")[0] == "Valid"
        states.add(signer.notes(again))
    assert len(states) >= 2  # kept as invalid, and left out


def test_credentials_that_lie_elsewhere_are_not_fetched(signer: Signer) -> None:
    class Refuse(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            Refuse.asked += 1

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/manifest.c2pa"
    xmp = made.XMP.replace(
        b' xmp:Rating="5"',
        f' xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{address}"'.encode(),
    )
    photo = photo_of(jpeg(xmp=xmp))
    try:
        assert read(signed(signer, photo), "JPEG")[0] == "Valid"
        assert "not fetched" in signer.notes(photo)[0]
    finally:
        server.shutdown()
        server.server_close()
    assert Refuse.asked == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "HEIF"])
def test_photos_of_every_format_can_be_the_original(signer: Signer, kind: str) -> None:
    if kind == "HEIF":
        heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
        file = BytesIO()
        heif.from_pillow(Image.fromarray(made.scene())).save(file)
        photo = photo_of(file.getvalue(), "holiday.heic")
    else:
        photo = photo_of(made.saved(Image.fromarray(made.scene()), kind), "holiday.x")
    data = image_io.encode(photo, made.edited(photo), "PNG")
    state, manifest = read(signer.sign(data, "PNG", photo, edit=EDIT), "PNG")
    assert state == "Valid"
    assert manifest["ingredients"][0]["format"] == MIME_TYPES[kind]
    names = [action["action"] for action in actions(manifest)]
    assert names == ["c2pa.opened", "c2pa.edited", *(["c2pa.converted"] if kind != "PNG" else [])]


def test_damaged_photos_that_can_be_read_can_be_the_original(signer: Signer) -> None:
    num_read = 0
    for number in range(0, 462, 3):
        try:
            photo = image_io.read(damaged(number)[1])
        except UnreadableImage:
            continue
        data = image_io.encode(photo, photo.pixels, "PNG")
        assert read(signer.sign(data, "PNG", photo, edit=EDIT), "PNG")[0] == "Valid", number
        num_read += 1
    assert num_read >= 30


def test_a_photo_that_something_was_taken_from_is_an_input(signer: Signer) -> None:
    photo, other = photo_of(jpeg()), photo_of(jpeg(comment=b"another"), "smile.jpg")
    _, manifest = read(signed(signer, photo, used=[other, photo]), "JPEG")
    listed = [(one["title"], one["relationship"]) for one in manifest["ingredients"]]
    assert listed == [("holiday.jpg", "parentOf"), ("smile.jpg", "inputTo")]
    assert len(actions(manifest)[1]["parameters"]["ingredients"]) == 1


def test_a_file_that_was_not_edited_does_not_say_so(signer: Signer) -> None:
    _, manifest = read(signed(signer, photo_of(jpeg()), edit=""), "JPEG")
    assert [action["action"] for action in actions(manifest)] == ["c2pa.opened"]


def test_no_thumbnail_shows_the_old_face(signer: Signer) -> None:
    data = signed(signer, photo_of(jpeg()))
    assert b"c2pa.thumbnail" not in data


def test_formats_without_room_for_a_manifest_are_refused(signer: Signer) -> None:
    photo = photo_of(made.saved(Image.fromarray(made.scene()), "BMP"))
    with pytest.raises(UsageError, match="is a BMP file, which holds no content credentials"):
        signed(signer, photo)


def test_pixels_without_a_file_are_refused(signer: Signer) -> None:
    photo = replace(photo_of(jpeg()), source=b"")
    with pytest.raises(UsageError, match="edit a file by its path or bytes"):
        signed(signer, photo)


def test_a_signer_shows_its_key_to_nobody(signer: Signer) -> None:
    assert "PRIVATE" not in repr(signer)


def test_an_encrypted_key_is_opened_by_its_passphrase(files: SignerFiles, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    locked = tmp_path / "locked.pem"
    locked.write_bytes(pem(load_pem_private_key(files.key.read_bytes(), None), "open sesame"))
    opened = Signer.from_files(files.chain, locked, passphrase="open sesame")
    assert read(signed(opened, photo_of(jpeg())), "JPEG")[0] == "Valid"
    Signer.from_files(files.chain, files.key, passphrase="not needed")
    with pytest.raises(UsageError, match=r"is encrypted; put its passphrase into .* EXPRGAN_C2PA_PASSPHRASE"):
        Signer.from_files(files.chain, locked)
    with pytest.raises(UsageError, match="does not open the private key"):
        Signer.from_files(files.chain, locked, passphrase="wrong")


def _key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def _swapped(folder: Path) -> SignerFiles:
    files = signer_files(folder)
    end = b"-----END CERTIFICATE-----\n"
    first, second, _ = files.chain.read_bytes().split(end)
    files.chain.write_bytes(second + end + first + end)
    return files


def _of_two_offices(folder: Path) -> SignerFiles:
    files, end = signer_files(folder), b"-----END CERTIFICATE-----\n"
    files.chain.write_bytes(files.chain.read_bytes().split(end)[0] + end + pem(certs.Authority().own))
    return files


def _self_signed(folder: Path) -> SignerFiles:
    key, files = _key(), signer_files(folder)
    files.chain.write_bytes(pem(certs.certificate("me", key, "me", key)))
    files.key.write_bytes(pem(key))
    return files


def _expired_office(folder: Path) -> SignerFiles:
    key, authority, files = _key(), certs.Authority(days=(-9, -2)), signer_files(folder)
    files.chain.write_bytes(pem(authority.issue(key)) + pem(authority.own))
    files.key.write_bytes(pem(key))
    return files


def _with(files: SignerFiles, **texts: bytes) -> SignerFiles:
    for name, text in texts.items():
        getattr(files, name).write_bytes(text)
    return files


FAULTS = {
    "expired": (lambda folder: signer_files(folder, days=(-9, -2)), "Certificate 1 of .* expired on 20"),
    "expired issuer": (_expired_office, "Certificate 2 of .* expired on 20"),
    "not valid yet": (lambda folder: signer_files(folder, days=(2, 9)), "is valid from 20"),
    "self-signed": (_self_signed, "is self-signed, which C2PA does not allow"),
    "another key": (lambda folder: _with(signer_files(folder), key=pem(_key())), "does not belong to the first"),
    "wrong order": (_swapped, "is not issued by the one after it"),
    "wrong issuer": (_of_two_offices, "Certificate 1 of .* is not issued by the one after it"),
    "for servers": (
        lambda folder: signer_files(folder, usage=ExtendedKeyUsageOID.SERVER_AUTH),
        "cannot sign content credentials",
    ),
    "no usage": (lambda folder: signer_files(folder, usage=None), "cannot sign content credentials"),
    "short key": (
        lambda folder: signer_files(folder, rsa.generate_private_key(65537, 1024)),
        "of a kind that C2PA does not allow",
    ),
    "other curve": (
        lambda folder: signer_files(folder, ec.generate_private_key(ec.SECP256K1())),
        "of a kind that C2PA does not allow",
    ),
    "no certificate": (lambda folder: _with(signer_files(folder), chain=b"hello"), "holds no certificate in PEM"),
    "no key": (lambda folder: _with(signer_files(folder), key=b"\xff\0"), "holds no private key in PEM"),
    "missing": (
        lambda folder: signer_files(folder)._replace(chain=folder / "none.pem"),
        "certificate chain .* cannot be read",
    ),
    "folder": (lambda folder: signer_files(folder)._replace(key=folder), "private key .* cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_certificates_that_cannot_sign_are_refused_in_a_sentence(fault: str, tmp_path: Path) -> None:
    make, message = FAULTS[fault]
    with pytest.raises(UsageError, match=message) as raised:
        Signer.from_files(*make(tmp_path))
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)
    assert "; " in str(raised.value)  # what to try next


def test_the_key_of_a_later_certificate_is_told(tmp_path: Path) -> None:
    key, authority = _key(), certs.Authority()
    files = SignerFiles(tmp_path / "chain.pem", tmp_path / "key.pem")
    files.chain.write_bytes(pem(authority.issue(key)) + pem(authority.own))
    files.key.write_bytes(pem(authority.key))
    with pytest.raises(UsageError, match=r"belongs to certificate 2 of .*; put that one first"):
        Signer.from_files(*files)


def test_what_goes_wrong_while_signing_is_an_error_of_the_photo(signer: Signer) -> None:
    other = replace(signer, key=pem(_key()))
    with pytest.raises(ExprganError, match=r"out cannot be signed \(.*\); try again"):
        signed(other, photo_of(jpeg()))


def test_the_missing_extra_is_named(files: SignerFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UsageError, match=r'pip install "exprgan\[c2pa\]"'):
        Signer.from_files(*files)


def test_the_documented_way_to_an_authority_of_ones_own(root: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None or shutil.which("sh") is None:
        pytest.skip("openssl is not installed")
    text = (root / "docs" / "provenance.md").read_text(encoding="utf-8")
    script, check = re.findall(r"```\w*\n((?:openssl|import c2pa\n).*?)```", text, re.DOTALL)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, check=True)
    signer = Signer.from_files(tmp_path / "chain.pem", tmp_path / "key.pem")
    (tmp_path / "photo-happy.jpg").write_bytes(signed(signer, photo_of(jpeg())))
    run = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == "Trusted\n"


@pytest.fixture
def authority_of_time(tmp_path: Path) -> Iterator[str]:
    """Address of a timestamp authority of our own, which answers by openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, authority = rsa.generate_private_key(65537, 2048), certs.Authority()
    (tmp_path / "tsa.pem").write_bytes(pem(authority.issue(key, usage=ExtendedKeyUsageOID.TIME_STAMPING)))
    (tmp_path / "tsa-key.pem").write_bytes(pem(key))
    (tmp_path / "chain-of-tsa.pem").write_bytes(pem(authority.own))
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n"
        "digests = sha256, sha384, sha512\nordering = no\n"
    )

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (tmp_path / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            words = [
                openssl,
                "ts",
                "-reply",
                "-config",
                "tsa.cnf",
                "-queryfile",
                "query",
                "-signer",
                "tsa.pem",
            ]
            words += ["-inkey", "tsa-key.pem", "-chain", "chain-of-tsa.pem"]
            run = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(run.stdout)))
            self.end_headers()
            self.wfile.write(run.stdout)

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_timestamp_authority_says_when(files: SignerFiles, authority_of_time: str) -> None:
    signer = Signer.from_files(*files, timestamp_url=authority_of_time)
    data = signed(signer, photo_of(jpeg()))
    state, manifest = read(data, "JPEG")
    assert state == "Valid"
    assert manifest["signature_info"]["time"].startswith("20")
    assert (
        "time"
        not in read(signed(replace(signer, timestamp_url=None), photo_of(jpeg())), "JPEG")[1][
            "signature_info"
        ]
    )


def test_a_timestamp_authority_that_does_not_answer_is_told_at_once(files: SignerFiles) -> None:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    address = f"http://127.0.0.1:{server.server_port}/"
    server.server_close()
    with pytest.raises(UsageError, match="gives no timestamp; check its address"):
        Signer.from_files(*files, timestamp_url=address)
    with pytest.raises(UsageError, match="is no address"):
        Signer.from_files(*files, timestamp_url="localhost:80")
