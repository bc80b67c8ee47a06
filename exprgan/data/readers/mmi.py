"""MMI Facial Expression Database (https://mmifacedb.eu): videos that go from neutral to an expression and back.

    Sessions/1841/session.xml               the recording; its track says the view: 0 frontal, 1 profile, 2 both
    Sessions/1841/S035-004.xml              <Metatag Name="Emotion" Value="4"/> for the six basic emotions
    Sessions/1841/S035-004-oao_aucs.xml     <ActionUnit Number="12"> with a <Marker Frame="17"/> where it changes
    Sessions/1841/S035-004.avi, or .jpg

A session gives its first frame, neutral, and the frame midway between the first and last marker (without
markers, of the whole video). Action units are coded as there or not there, so their intensities are 1 or 0.
Older frontal videos lie on their side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from exprgan.action_units import ACTION_UNITS
from exprgan.data.readers import PICTURE_SUFFIXES, Problem, Record, relative_name
from exprgan.errors import UsageError
from exprgan.expressions import expression_index

EMOTIONS = {1: "anger", 2: "disgust", 3: "fear", 4: "happy", 5: "sad", 6: "surprise"}
PROFILE_VIEW = "1"


def read(folder: Path) -> Iterator[Record | Problem]:
    """The sessions of an MMI download.

    Raises:
        UsageError: There is no folder Sessions.
    """
    sessions = folder / "Sessions" if (folder / "Sessions").is_dir() else folder
    if not any(path.is_file() for path in sessions.glob("*/session.xml")):
        raise UsageError(
            f"{folder} holds no Sessions/*/session.xml; give the folder that MMI was unpacked to."
        )
    below = [path for path in sessions.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for session in sorted(below, key=lambda path: (len(path.name), path.name)):
        yield from _read_session(session, folder)


def _read_session(session: Path, folder: Path) -> Iterator[Record | Problem]:
    name = relative_name(session, folder)
    media = sorted(p for p in session.iterdir() if p.suffix.lower() in (".avi", *PICTURE_SUFFIXES))
    if not media:
        yield Problem(name, "neither a video nor a picture is there")
        return
    path = media[0]
    try:
        view = _find(session / "session.xml", "track", "view")
        emotion = _emotion_of(session / f"{path.stem}.xml")
        units, frames = _coded_units(session / f"{path.stem}-oao_aucs.xml")
    except (ElementTree.ParseError, ValueError) as error:
        yield Problem(name, f"an XML file is damaged ({error})")
        return
    if view == PROFILE_VIEW:
        yield Problem(name, "a profile, which shows half a face")
    elif emotion and emotion not in EMOTIONS:
        yield Problem(name, f"emotion {emotion} is none of the six basic ones")
    elif not emotion and not units:
        yield Problem(name, "neither an emotion nor action units are coded")
    else:
        peak = Record(
            key=f"{session.name}-{path.stem}",
            path=path,
            expression=expression_index(EMOTIONS[emotion]) if emotion else -1,
            subject=path.stem.partition("-")[0],
            action_units=_intensities(units) if units else None,
            may_lie=view == "0",
        )
        yield from _frames_of(peak, frames, name)


def _frames_of(peak: Record, frames: list[int], name: str) -> Iterator[Record | Problem]:
    if peak.path.suffix.lower() != ".avi":
        yield peak
        return
    count = _count_frames(peak.path)
    if not count:
        yield Problem(name, "the video cannot be read")
        return
    middle = (min(frames) + max(frames)) // 2 - 1 if frames else count // 2  # markers count from 1
    neutral = expression_index("neutral")
    relaxed = _intensities(frozenset()) if peak.action_units else None
    yield replace(peak, key=f"{peak.key}-first", expression=neutral, action_units=relaxed, frame=0)
    yield replace(peak, key=f"{peak.key}-peak", frame=min(max(middle, 0), count - 1))


def _count_frames(path: Path) -> int:
    import cv2

    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    video.release()
    return count


def _find(path: Path, tag: str, attribute: str) -> str:
    if not path.is_file():
        return ""
    element = next(iter(ElementTree.parse(path).iter(tag)), None)
    return "" if element is None else element.get(attribute, "")


def _emotion_of(path: Path) -> int:
    """The emotion's number, 0 where none is named."""
    if not path.is_file():
        return 0
    for tag in ElementTree.parse(path).iter("Metatag"):
        if tag.get("Name") == "Emotion":
            return int(tag.get("Value") or 0)
    return 0


def _coded_units(path: Path) -> tuple[frozenset[str], list[int]]:
    """Action units by our names, and all frames that a marker names."""
    if not path.is_file():
        return frozenset(), []
    units, frames = set(), []
    for element in ElementTree.parse(path).iter("ActionUnit"):
        digits = re.search(r"\d+", element.get("Number", ""))  # 12, L12, 12R
        if digits:
            units.add(f"AU{int(digits[0]):02d}")
        frames += [int(marker.get("Frame", "1")) for marker in element.iter("Marker")]
    return frozenset(units), frames


def _intensities(units: frozenset[str]) -> tuple[float, ...]:
    return tuple(float(unit in units) for unit in ACTION_UNITS)
