"""`--c2pa-cert` and `--c2pa-key` of edit, series, transfer and animate, with the bundled weights."""

from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exprgan import Editor, Signer
from exprgan.errors import UsageError
from exprgan.photos import image_io
from tests.conftest import RunCli

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed; pip install -e '.[c2pa]'")

from tests.made_certificates import SignerFiles, signer_files  # noqa: E402


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SignerFiles:
    return signer_files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def photo(sample_path: Path, tmp_path: Path) -> Path:
    """A small portrait in a folder of its own."""
    path = tmp_path / "photos" / "portrait.jpg"
    path.parent.mkdir()
    with Image.open(sample_path) as picture:
        picture.reduce(2).save(path, quality=90)
    return path


def manifest_of(path: Path) -> Any:
    """The valid manifest of a file."""
    with c2pa.Reader(str(path)) as reader:
        assert reader.get_validation_state() == "Valid"
        return reader.get_active_manifest()


def actions_of(path: Path) -> dict[str, Any]:
    (entry,) = [each for each in manifest_of(path)["assertions"] if each["label"] == "c2pa.actions.v2"]
    return {action["action"]: action for action in entry["data"]["actions"]}


def ingredients_of(path: Path) -> list[tuple[str, str]]:
    return [(each["title"], each["relationship"]) for each in manifest_of(path)["ingredients"]]


def test_edit_signs_and_changes_nothing_else(run_cli: RunCli, files: SignerFiles, photo: Path) -> None:
    plain = photo.with_name("plain.jpg")
    assert run_cli("edit", photo, "--to", "happy", "--output", plain).code == 0
    result = run_cli("edit", photo, "--to", "happy", *files.options)
    assert (result.code, result.stderr) == (0, "")
    path = photo.with_name("portrait-happy.jpg")
    assert manifest_of(path)["title"] == path.name
    assert ingredients_of(path) == [("portrait.jpg", "parentOf")]
    edited = actions_of(path)["c2pa.edited"]
    assert edited["parameters"]["exprgan.edit"] == "happy, strength 1"
    assert edited["parameters"]["exprgan.weights"].startswith("corrections ")
    one, two = image_io.read(plain), image_io.read(path)
    assert np.array_equal(one.pixels, two.pixels)
    assert (one.exif, one.xmp, one.icc_profile, one.jpeg) == (two.exif, two.xmp, two.icc_profile, two.jpeg)


def test_a_batch_signs_all_and_goes_on_where_it_was(
    run_cli: RunCli, files: SignerFiles, photo: Path, tmp_path: Path
) -> None:
    shutil.copy(photo, photo.with_name("other.jpg"))
    words = ["edit", photo.parent, "--to", "sad", "--output", tmp_path / "out", "--skip-existing"]
    assert run_cli(*words, *files.options).code == 0
    results = sorted((tmp_path / "out").glob("*.jpg"))
    assert [path.name for path in results] == ["other-sad.jpg", "portrait-sad.jpg"]
    assert [ingredients_of(path)[0][0] for path in results] == ["other.jpg", "portrait.jpg"]
    before = [path.read_bytes() for path in results]
    again = run_cli(*words, *files.options, "--format", "json")
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["skipped"] * 2
    assert [path.read_bytes() for path in results] == before
    unsigned = run_cli(*words)
    assert unsigned.code == 1
    assert "was made with other options" in unsigned.stderr


def test_a_pipe_carries_the_signature(
    run_cli: RunCli, files: SignerFiles, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = BytesIO(photo.read_bytes())

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", Stdin())
    assert run_cli("edit", "-", "--to", "happy", "--output", tmp_path / "out.png", *files.options).code == 0
    assert ingredients_of(tmp_path / "out.png") == [("original", "parentOf")]
    assert list(actions_of(tmp_path / "out.png")) == ["c2pa.opened", "c2pa.edited", "c2pa.converted"]


def test_edit_of_a_signed_photo_keeps_what_it_says(run_cli: RunCli, files: SignerFiles, photo: Path) -> None:
    assert run_cli("edit", photo, "--to", "happy", *files.options).code == 0
    first = photo.with_name("portrait-happy.jpg")
    result = run_cli("edit", first, "--to", "sad", *files.options)
    assert "are kept in the new ones" in result.stderr
    with c2pa.Reader(str(photo.with_name("portrait-happy-sad.jpg"))) as reader:
        (parent,) = reader.get_active_manifest()["ingredients"]
        assert reader.get_manifest(parent["active_manifest"])["title"] == first.name
    result = run_cli("edit", first, "--to", "sad", "--output", photo.with_name("unsigned.jpg"))
    assert "are left out" in result.stderr
    assert c2pa.Reader.try_create(str(photo.with_name("unsigned.jpg"))) is None


def test_transfer_names_both_photos(run_cli: RunCli, files: SignerFiles, photo: Path) -> None:
    assert run_cli("edit", photo, "--to", "happy").code == 0
    shown = photo.with_name("portrait-happy.jpg")
    assert run_cli("transfer", shown, photo, *files.options).code == 0
    path = photo.with_name("portrait-like-portrait-happy.jpg")
    assert ingredients_of(path) == [("portrait.jpg", "parentOf"), ("portrait-happy.jpg", "inputTo")]
    assert len(actions_of(path)["c2pa.edited"]["parameters"]["ingredients"]) == 1


def test_series_signs_photos_and_crops_but_no_sheets(
    run_cli: RunCli, files: SignerFiles, photo: Path, tmp_path: Path
) -> None:
    design = tmp_path / "design.toml"
    design.write_text('crop_px = 128\n[expressions]\nhappy = "happy"\n')
    result = run_cli("series", photo, "--design", design, "--output", tmp_path / "set", *files.options)
    assert result.code == 0
    path = tmp_path / "set" / "portrait-happy.png"
    assert ingredients_of(path) == [("portrait.jpg", "parentOf")]
    assert list(actions_of(path)) == [
        "c2pa.opened",
        "c2pa.edited",
        "c2pa.cropped",
        "c2pa.resized",
        "c2pa.converted",
    ]
    assert c2pa.Reader.try_create(str(tmp_path / "set" / "portrait-sheet.png")) is None
    grid = run_cli("series", photo, "--grid", "happy,sad", *files.options)
    assert (grid.code, "is not signed" in grid.stderr) == (2, True)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".mp4"])
def test_animate_signs_moving_pictures(run_cli: RunCli, files: SignerFiles, photo: Path, suffix: str) -> None:
    if suffix == ".mp4":
        pytest.importorskip("av", reason="PyAV is not installed; pip install -e '.[video]'")
    path = photo.with_name(f"moves{suffix}")
    words = ["animate", photo, "--to", "happy", "--seconds", "1", "--fps", "4", "--size", "128"]
    assert run_cli(*words, "--output", path, *files.options).code == 0
    assert ingredients_of(path) == [("portrait.jpg", "parentOf")]
    assert list(actions_of(path)) == ["c2pa.opened", "c2pa.edited", "c2pa.resized", "c2pa.converted"]
    if suffix == ".mp4":
        import av

        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 4
    else:
        with Image.open(path) as moving:
            assert getattr(moving, "n_frames", 1) == 4


def test_a_photo_that_teeth_come_from_is_named(
    run_cli: RunCli, files: SignerFiles, photo: Path, sample_path: Path, tmp_path: Path
) -> None:
    smile = tmp_path / "smile.png"
    wide = ["--control", "mouthUpperUpLeft=1", "--control", "mouthUpperUpRight=1", "--control", "jawOpen=0.3"]
    assert run_cli("edit", sample_path, "--to", "happy", *wide, "--output", smile).code == 0
    assert run_cli("edit", photo, "--to", "happy", "--teeth-from", smile, *files.options).code == 0
    assert ingredients_of(photo.with_name("portrait-happy.jpg"))[1] == ("smile.png", "inputTo")


def test_python_signs_what_it_saves(files: SignerFiles, photo: Path, tmp_path: Path) -> None:
    signer = Signer.from_files(*files)
    editor = Editor.from_pretrained(device="cpu")
    result = editor.edit(photo, "surprise", strength=0.5)
    result.save(tmp_path / "out.webp", signer=signer)
    assert ingredients_of(tmp_path / "out.webp") == [("portrait.jpg", "parentOf")]
    assert actions_of(tmp_path / "out.webp")["c2pa.edited"]["parameters"]["exprgan.edit"] == (
        "surprise, strength 0.5"
    )
    editor.edit(photo, "surprise", strength=0).save(tmp_path / "same.png", signer=signer)
    assert list(actions_of(tmp_path / "same.png")) == ["c2pa.opened", "c2pa.converted"]
    with pytest.raises(UsageError, match="makes no sense"):
        result.save(tmp_path / "no.jpg", signer=signer, provenance=False)
    with pytest.raises(UsageError, match="edit a file by its path or bytes"):
        editor.edit(result.image, "sad").save(tmp_path / "no.jpg", signer=signer)
    assert not (tmp_path / "no.jpg").exists()


@pytest.mark.parametrize(
    ("left_out", "more", "message"),
    [
        ("--c2pa-key", [], "--c2pa-cert is not enough to sign; give --c2pa-key, too."),
        ("--c2pa-cert", [], "--c2pa-key is not enough to sign; give --c2pa-cert, too."),
        ("", ["--no-provenance"], "--no-provenance and --c2pa-cert say two things; give one of them."),
        ("", ["--output", "out.bmp"], "out.bmp is a BMP file, which holds no content credentials"),
        ("", ["--c2pa-timestamp", "nowhere"], "The timestamp authority nowhere is no address"),
    ],
)
def test_options_that_cannot_work_are_refused_before_any_work(
    run_cli: RunCli,
    files: SignerFiles,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    left_out: str,
    more: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(Editor, "from_pretrained", None)  # nothing is loaded
    monkeypatch.chdir(photo.parent)
    pairs = zip(files.options[::2], files.options[1::2], strict=True)
    words = [word for pair in pairs if pair[0] != left_out for word in pair]
    result = run_cli("edit", photo, "--to", "happy", *words, *more)
    assert result.code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in photo.parent.iterdir()] == ["portrait.jpg"]


def test_a_timestamp_alone_is_refused(run_cli: RunCli, photo: Path) -> None:
    result = run_cli("edit", photo, "--to", "happy", "--c2pa-timestamp", "http://localhost/")
    assert result.code == 2
    assert "goes with --c2pa-cert and --c2pa-key" in result.stderr


@pytest.mark.parametrize("command", ["edit", "series", "transfer", "animate"])
def test_a_certificate_that_cannot_sign_ends_every_command_at_once(
    run_cli: RunCli, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(Editor, "from_pretrained", None)
    design = tmp_path / "design.toml"
    design.write_text('[expressions]\nhappy = "happy"\n')
    (tmp_path / "certificates").mkdir()
    expired = signer_files(tmp_path / "certificates", days=(-9, -2))
    words: dict[str, list[object]] = {
        "edit": [photo, "--to", "happy"],
        "series": [photo, "--design", design, "--output", tmp_path / "set"],
        "transfer": [photo, photo, "--output", tmp_path / "out.jpg"],
        "animate": [photo, "--to", "happy"],
    }
    result = run_cli(command, *words[command], *expired.options)
    assert result.code == 2
    assert "expired on" in result.stderr
    assert [path.name for path in photo.parent.iterdir()] == ["portrait.jpg"]
    assert not (tmp_path / "set").exists()


def test_a_dry_run_checks_the_certificate_and_writes_nothing(
    run_cli: RunCli, files: SignerFiles, photo: Path
) -> None:
    result = run_cli("edit", photo, "--to", "happy", "--dry-run", *files.options)
    assert (result.code, "(planned)" in result.stdout) == (0, True)
    assert [path.name for path in photo.parent.iterdir()] == ["portrait.jpg"]


def test_a_key_whose_passphrase_is_in_the_environment_signs(
    run_cli: RunCli, files: SignerFiles, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from tests.made_certificates import pem

    locked = tmp_path / "locked.pem"
    locked.write_bytes(pem(load_pem_private_key(files.key.read_bytes(), None), "open sesame"))
    words = ["edit", photo, "--to", "happy", "--c2pa-cert", files.chain, "--c2pa-key", locked, "--dry-run"]
    refused = run_cli(*words)
    assert (refused.code, "EXPRGAN_C2PA_PASSPHRASE" in refused.stderr) == (2, True)
    monkeypatch.setenv("EXPRGAN_C2PA_PASSPHRASE", "open sesame")
    assert run_cli(*words).code == 0
    assert "open sesame" not in run_cli("doctor").stdout
