"""Model cards in the form of the Hugging Face Hub: a head in YAML, made of the manifest, before the card's own text.

The Hub reads licence, task, data and figures from the head. Figures of what a network is compared with, and counts,
are in the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from exprgan.weights.record import WeightsRecord

README = "README.md"
LICENCE_FILE = "LICENSE"
TASKS = {
    "bisenet": "image-segmentation",
    "corrections": "image-to-image",
    "corrections_end_to_end": "image-to-image",
    "expression_judge": "image-classification",
    "face_proposer": "object-detection",
    "features": "image-feature-extraction",
    "hierarchical": "image-to-image",
    "identity_judge": "image-feature-extraction",
    "landmark_net": "keypoint-detection",
    "sargan": "image-to-image",
    "stargan": "image-to-image",
    "transfer": "image-to-image",
    "unet": "image-segmentation",
    "unified": "image-to-image",
    "unified_end_to_end": "image-to-image",
    "usgan": "image-to-image",
}
"""The Hub's word for what a network does, by architecture; face_model is no network."""
PAPERS = {
    "hierarchical": "2112.04603",
    "sargan": "2303.17212",
    "stargan": "1711.09020",
    "transfer": "1909.02967",
    "unified": "2112.04603",
    "unified_end_to_end": "2112.04603",
    "usgan": "2112.13002",
}
"""Number at arXiv of the paper that a network follows."""
MAIN = "corrections"
"""The network of a folder whose task and figures are the repository's."""
_HEAD = re.compile(r"\A---\n.*?\n---\n\n?", re.DOTALL)
_LEFT_OUT = re.compile(r"pairs|faces|identities|faces_with_label|num_\w+|median_s|\w+_(none|prior)(_\w+)?")
_MOST_FIGURES = 12  # of one set; of more the mean alone is in the head


def with_head(card: str, name: str, record: WeightsRecord) -> str:
    """A network's card with its head, in place of one that it has.

    Args:
        card: Markdown.
        name: Name in the manifest.
        record: What the manifest says.
    """
    return _head(name, record.architecture, {name: record}) + text_of(card).strip() + "\n"


def text_of(card: str) -> str:
    """A card without its head."""
    return _HEAD.sub("", card, count=1)


def repository_card(records: Mapping[str, WeightsRecord], text: str = "") -> str:
    """The card of a repository.

    Args:
        records: Of its networks.
        text: Markdown, with or without a head; empty makes some of the manifest.
    """
    name = MAIN if MAIN in records else next(iter(records))
    body = text_of(text).strip() or _made_text(records)
    return _head(name, records[name].architecture, records) + body + "\n"


def licence_of(records: Mapping[str, WeightsRecord]) -> str:
    """The licences of several networks as one SPDX expression."""
    parts = {part for record in records.values() for part in record.licence.split(" AND ")}
    return " AND ".join(sorted(parts))


def _head(name: str, architecture: str, records: Mapping[str, WeightsRecord]) -> str:
    from huggingface_hub import ModelCardData

    licence = licence_of(records)
    is_one = re.fullmatch(r"[\w.-]+", licence) is not None and licence != "unknown"
    record, is_repository = records[name], len(records) > 1
    results = list(_results(record.metrics, TASKS.get(architecture, "other")))
    papers = sorted({PAPERS[each.architecture] for each in records.values() if each.architecture in PAPERS})
    data = ModelCardData(
        license=licence.lower() if is_one else "other",
        license_name=None if is_one else licence.lower().replace(" ", "-"),
        license_link=LICENCE_FILE if is_repository and "Apache-2.0" in licence else None,
        library_name="exprgan",
        pipeline_tag=TASKS.get(architecture),
        tags=["face", "facial-expression", "safetensors", *(f"arxiv:{paper}" for paper in papers)],
        datasets=sorted({each for record in records.values() for each in _sets(record)}) or None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _sets(record: WeightsRecord) -> Iterator[str]:
    """Names of data sets at the begin of the lines on data."""
    for line in record.data:
        if found := re.match(r"([\w-]+)[,:]", line):
            yield found[1]


def _results(metrics: Mapping[str, Any], task: str) -> Iterator[Any]:
    """The Hub's records of figures that are given by name, or by data set and name."""
    from huggingface_hub import EvalResult

    for title, value in metrics.items():
        if isinstance(value, Mapping):
            found = {key: one for key, one in value.items() if not _LEFT_OUT.fullmatch(key)}
            named = {"mean": found["mean"]} if len(found) > _MOST_FIGURES and "mean" in found else found
            figures = [(title, key, one) for key, one in named.items()]
        else:
            dataset, colon, key = title.partition(": ")
            figures = [(dataset, key, value) if colon else ("held-out faces", title, value)]
        for dataset, key, one in figures:
            if isinstance(one, float):
                yield EvalResult(
                    task_type=task,
                    dataset_type=re.sub(r"\W+", "-", dataset).lower(),
                    dataset_name=dataset,
                    metric_type=re.sub(r"\W+", "_", key).strip("_").lower(),
                    metric_name=key,
                    metric_value=float(f"{one:.4g}"),
                )


def _made_text(records: Mapping[str, WeightsRecord]) -> str:
    rows = [
        f"| [{name}]({record.card}) | {record.architecture} | {record.size_bytes / 1e6:.1f} MB | {record.licence} |"
        for name, record in records.items()
    ]
    table = "\n".join(["| name | architecture | size | licence |", "|---|---|---|---|", *rows])
    return (
        f"# Weights of exprgan\n\n{table}\n\nData, figures and limits are in the card of each. `manifest.json` has the "
        "sha256 of every file, which is checked before it is loaded.\n\n```\nexprgan weights download OWNER/NAME\n```"
    )
