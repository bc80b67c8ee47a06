"""What the package's page shows: README.md with links that work there, and the addresses of the project.

The address is that of the repository that a release is built in (GITHUB_REPOSITORY, which GitHub's runners set, or
EXPRGAN_REPOSITORY with a whole address). Without one, links to files of the repository become their text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!https?://|#|mailto:)(?P<path>[^)\s]+)\)")
_CAPTION = re.compile(r"\*`exprgan edit docs/samples/[^*]*\*\n*", re.DOTALL)


class ProjectPage(MetadataHookInterface):
    """Fills `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        address = address_of(os.environ)
        metadata["readme"] = {"content-type": "text/markdown", "text": page_of(text, address)}
        metadata["urls"] = urls_of(address)


def address_of(environment: Any) -> str:
    """Address of the repository, empty where none is known.

    >>> address_of({"GITHUB_REPOSITORY": "someone/exprgan"})
    'https://github.com/someone/exprgan'
    """
    name = environment.get("GITHUB_REPOSITORY", "")
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    return str(environment.get("EXPRGAN_REPOSITORY") or (f"{server}/{name}" if name else "")).rstrip("/")


def urls_of(address: str) -> dict[str, str]:
    """Addresses for the margin of the page."""
    if not address:
        return {}
    return {
        "Repository": address,
        "Documentation": f"{address}/tree/HEAD/docs",
        "Changelog": f"{address}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


def page_of(text: str, address: str) -> str:
    """The text with absolute links, or with none to the repository and without its pictures.

    >>> page_of("See [the docs](docs/cli.md).", "")
    'See the docs.'
    """

    def changed(link: re.Match[str]) -> str:
        if not address:
            return "" if link["picture"] else link["text"]
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['text']}]({address}/{kind}/HEAD/{link['path']})"

    return _LINK.sub(changed, text if address else _CAPTION.sub("", text, count=1))
