"""Weights on the Hugging Face Hub: fetch a repository of them, use it from the cache, publish a folder.

A repository has the layout of a folder of weights (see `exprgan.weights`). Its manifest is fetched first, and
then only the files that the manifest names, all of the one commit that the revision stood for. Every file of
tensors is compared with the manifest's sha256. Only these functions reach the network; edits never do.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exprgan.errors import UsageError, WeightsError
from exprgan.files import being_written, write_whole
from exprgan.weights.cards import LICENCE_FILE, README, licence_of, repository_card
from exprgan.weights.folder import (
    MANIFEST,
    PICKLED_SUFFIXES,
    read_config,
    read_manifest,
    verify_weights,
)
from exprgan.weights.record import WeightsRecord

ORIGIN = "origin.json"  # in a folder of fetched weights: the repository and the commit they came from
_REPOSITORY = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
_SUFFIXES = (".safetensors", ".json", ".md")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Fetched:
    """Weights that were fetched."""

    repo: str
    revision: str  # as asked for
    commit: str  # what that stood for
    folder: Path
    records: Mapping[str, WeightsRecord]

    @property
    def pinned(self) -> str:
        """Repository and commit, as --weights takes them."""
        return f"{self.repo}@{self.commit}"


def parse_repository(text: str) -> tuple[str, str | None]:
    """Repository and revision of `OWNER/NAME[@REVISION]`; None for the default branch.

    Raises:
        UsageError: The text is none.
    """
    match = _REPOSITORY.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no repository; write OWNER/NAME or OWNER/NAME@REVISION.")
    return match["repo"], match["revision"]


def download(
    repository: str, output: Path | str | None = None, *, offline: bool = False, overwrite: bool = False
) -> Fetched:
    """Fetch the weights of a repository into the Hub's cache, check them, and copy them to a folder if wanted.

    Args:
        repository: `OWNER/NAME[@REVISION]`; a branch or tag is resolved to the commit it stands for.
        output: Folder to copy the files to; None leaves them in the cache.
        offline: Take what the cache has. HF_HUB_OFFLINE=1 does the same.
        overwrite: Replace files of an output folder that is not empty.

    Raises:
        UsageError: The text names no repository, or the output folder is not empty.
        WeightsError: The weights cannot be had, are pickled or are not what the manifest records.
    """
    repo, revision = parse_repository(repository)
    target = Path(output) if output is not None else None
    if (
        target is not None
        and not overwrite
        and target.exists()
        and (target.is_file() or any(target.iterdir()))
    ):
        raise UsageError(
            f"{target} is not empty; choose another --output, or --overwrite to replace its files."
        )
    folder = _fetch(repo, MANIFEST, revision or "main", offline).parent
    commit = folder.name  # the cache keeps files under snapshots/COMMIT/
    if not _COMMIT.fullmatch(commit):
        raise WeightsError(f"{repo} does not say which commit it gave; name another with {repo}@COMMIT.")
    records = read_manifest(folder)
    names = list(_files(records))
    for name in names:
        if Path(name).suffix not in _SUFFIXES:
            raise WeightsError(
                f"The {MANIFEST} of {repo}@{commit} names {name}, but only {', '.join(_SUFFIXES)} are fetched; "
                "try another revision."
            )
        _fetch(repo, name, commit, offline)
    _check(folder, records, f"{repo}@{commit}")
    if target is not None:
        _copy(folder, target, [*names, MANIFEST], {"repository": repo, "commit": commit})
        folder = target
    return Fetched(repo, revision or "main", commit, folder, records)


def cached_folder(repository: str) -> Path:
    """Folder of weights that were downloaded before, without reaching the network.

    Args:
        repository: `OWNER/NAME@REVISION`.

    Raises:
        WeightsError: They are not in the cache.
    """
    repo, revision = parse_repository(repository)
    return _fetch(repo, MANIFEST, revision or "main", offline=True).parent


def plan_push(folder: Path | str) -> dict[str, bytes | Path]:
    """The files that a push publishes by name, after all of them were checked: where they are, or their content.

    README.md is the folder's own, or made of the manifest, with a head in the Hub's form; LICENSE is that of exprgan,
    where a network is under it.

    Raises:
        WeightsError: The folder has no weights, or a file is missing or not the recorded one.
    """
    folder = Path(folder)
    records = read_manifest(folder)
    if not records:
        raise WeightsError(f"{folder} is no folder of weights: it has no {MANIFEST}; name one that has.")
    for name, record in records.items():
        verify_weights(name, folder)
        read_config(name, folder, record)
        if not record.card or not (folder / record.card).is_file():
            raise WeightsError(
                f"{name} in {folder} has no model card; write {name}.md before you publish it."
            )
        if not record.licence or record.licence == "unknown":
            raise WeightsError(
                f"{name} in {folder} has no licence; enter one in {MANIFEST} before you publish it."
            )
    readme = folder / README
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    licence = _licence_text() if "Apache-2.0" in licence_of(records) else None
    return {
        README: repository_card(records, text).encode(),
        **({LICENCE_FILE: licence.encode()} if licence else {}),
        **{name: folder / name for name in _files(records)},
        MANIFEST: folder / MANIFEST,
    }


def push(folder: Path | str, repository: str, *, private: bool = False) -> str:
    """Publish a folder of weights with its cards in one commit; the repository is made when it is not there.

    Args:
        folder: Folder of weights.
        repository: `OWNER/NAME`.
        private: Only for a repository that its owner alone can read; a public one is refused then.

    Returns:
        The commit.

    Raises:
        UsageError: The text names no repository, or a public one with `private`, or the Hub is switched off.
        WeightsError: The weights are not as recorded, or the Hub did not take them.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.constants import HF_HUB_OFFLINE

    repo, revision = parse_repository(repository)
    if revision is not None:
        raise UsageError(f"A push makes a new commit, so it takes no revision; write {repo}.")
    if HF_HUB_OFFLINE:
        raise UsageError("A push needs the network; unset HF_HUB_OFFLINE.")
    operations = [
        CommitOperationAdd(
            path_in_repo=name, path_or_fileobj=content if isinstance(content, bytes) else content.read_bytes()
        )
        for name, content in plan_push(folder).items()
    ]
    api = HfApi()
    with _hub_errors(repo):
        api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise UsageError(f"{repo} is public; choose another repository or leave out --private.")
        return str(api.create_commit(repo, operations, commit_message="Add weights of exprgan").oid)


def _files(records: Mapping[str, WeightsRecord]) -> Iterator[str]:
    for name, record in records.items():
        yield from (record.file, f"{name}.json")
        if record.card:
            yield record.card


def _fetch(repo: str, name: str, revision: str, offline: bool) -> Path:
    """Path in the Hub's cache of one file, fetched if need be."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    offline = offline or HF_HUB_OFFLINE
    with _hub_errors(repo, revision):
        try:
            return Path(hf_hub_download(repo, name, revision=revision, local_files_only=offline))
        except LocalEntryNotFoundError as error:
            if offline:
                raise WeightsError(
                    f"{name} of {repo}@{revision} is not in the cache; "
                    f"run `exprgan weights download {repo}@{revision}` with a connection first."
                ) from error
            raise WeightsError(
                f"{repo} cannot be reached; try again with a connection, "
                "or --offline for what was downloaded before."
            ) from error
        except EntryNotFoundError as error:
            if name == MANIFEST:
                raise WeightsError(_without_manifest(repo, revision)) from error
            raise WeightsError(
                f"{repo}@{revision} has no {name}, which its {MANIFEST} names; try another revision."
            ) from error


def _without_manifest(repo: str, revision: str) -> str:
    from huggingface_hub import HfApi

    pickled = [name for name in HfApi().list_repo_files(repo, revision=revision) if _is_pickled(name)]
    if pickled:
        return (
            f"{repo} is refused: it has no {MANIFEST}, and {pickled[0]} is a Python pickle, which can run any "
            "code when it is opened; where you trust it, fetch it yourself and use `exprgan weights convert`."
        )
    return f"{repo}@{revision} has no {MANIFEST}, so it holds no weights of exprgan; check the name."


def _is_pickled(name: str) -> bool:
    return Path(name).suffix.lower() in PICKLED_SUFFIXES


def _check(folder: Path, records: Mapping[str, WeightsRecord], pinned: str) -> None:
    """Compare every network's files with the manifest."""
    if not records:
        raise WeightsError(f"The {MANIFEST} of {pinned} names no weights; try another revision.")
    for name, record in records.items():
        try:
            verify_weights(name, folder)
            read_config(name, folder, record)
        except WeightsError as error:
            raise WeightsError(
                f"{name} of {pinned} is not what its {MANIFEST} records; delete "
                f"{(folder / record.file).resolve()} and download again, or try another revision."
            ) from error


def _copy(source: Path, target: Path, names: list[str], origin: Mapping[str, str]) -> None:
    """Copy files, the manifest last, and note where they come from."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        write_whole(target / ORIGIN, (json.dumps(origin, indent=1) + "\n").encode())
        for name in names:
            with being_written(target / name) as partial:
                shutil.copyfile(source / name, partial)
    except OSError as error:
        raise WeightsError(
            f"{target} cannot be written ({error.strerror}); choose another --output."
        ) from error


def _licence_text() -> str | None:
    """The licence that exprgan was installed with."""
    from importlib import metadata

    try:
        return metadata.distribution("exprgan").read_text("licenses/LICENSE")
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def _hub_errors(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn errors of the Hub's client into those of exprgan."""
    from huggingface_hub import errors

    place = f"{repo}@{revision}" if revision else repo
    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{repo} asks for its terms to be accepted; do so on its page and log in."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{repo} is not there, or is private; check the name, and log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{repo} has no revision {revision!r}; name a branch, tag or commit.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise WeightsError(f"The Hub refused access to {place}; log in with `hf auth login`.") from error
        raise WeightsError(f"The Hub failed on {place} (status {status}); try again later.") from error
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:  # type: ignore[attr-defined]
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"{place} cannot be had ({reason}); check the connection and the name.") from error
