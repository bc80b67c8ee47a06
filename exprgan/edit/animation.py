"""Moving pictures of a still photo: which expression each frame shows, and the frames.

Everything outside the edited part of a face is the photo's own in every frame, and the first frame is the photo.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.device import one_thread, use_one_thread
from exprgan.errors import UsageError
from exprgan.face_model.expression import Expression

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.edit.scene import Scene

EASES = ("sine", "linear")
MOST_FRAMES = 3000
BLINK_EVERY_S, BLINK_S = 2.5, 0.36
"""Time from one blink to the next, and of one: lids shut in a third of it (Bentivoglio et al. 1997 count 17 a minute
at rest, 26 in talk)."""
_FINE = 6  # decimals of shares, so that ways up and down share their frames


@dataclass(frozen=True)
class Timeline:
    """The course of an animation, from the photo through expressions and, if it returns, back to the photo.

    Attributes:
        stops: What the face shows one after the other.
        seconds: Length of all.
        hold: Seconds that each stop stays.
        ease: sine (slow at both ends of a change) or linear.
        returns: Whether it ends with the photo.
        blinks: Whether the eyes shut now and then.
        strength: Factor on the stops.
    """

    stops: Sequence[Expression]
    seconds: float = 2.0
    hold: float = 0.4
    ease: str = "sine"
    returns: bool = True
    blinks: bool = False
    strength: float = 1.0

    def check(self, fps: float) -> None:
        """Raise unless it can be shown at so many frames a second.

        Raises:
            UsageError: It cannot.
        """
        if not (self.stops or self.blinks):
            raise UsageError("An animation needs an expression or blinks.")
        if self.ease not in EASES:
            raise UsageError(f"There is no --ease {self.ease!r}; choose sine or linear.")
        if not (math.isfinite(fps) and 1 <= fps <= 60):
            raise UsageError(f"--fps {fps:g} is out of range; give 1 to 60.")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"--seconds {self.seconds:g} is no length; give a number above 0.")
        if not (math.isfinite(self.hold) and self.hold >= 0):
            raise UsageError(f"--hold {self.hold:g} is no length; give 0 or more.")
        if self.seconds * fps > MOST_FRAMES:
            raise UsageError(f"That is more than {MOST_FRAMES} frames; lower --seconds or --fps.")
        if len(self.stops) * self.hold >= self.seconds:
            raise UsageError(
                f"Holding {len(self.stops)} expressions for {self.hold:g} s leaves no time to change; raise --seconds "
                "or lower --hold."
            )

    def expressions(self, fps: float) -> list[Expression]:
        """What each frame shows, the first of them nothing.

        Raises:
            UsageError: The timeline cannot be shown.
        """
        self.check(fps)
        count = max(2, round(self.seconds * fps))
        # an animation that returns is shown over and over: its last frame leads to the first
        last = count if self.returns else count - 1
        return [self._at(self.seconds * number / last, number / fps) for number in range(count)]

    def _at(self, place_s: float, time_s: float) -> Expression:
        nothing = Expression(regions=self.stops[0].regions if self.stops else ())
        points = [nothing, *self.stops, *([nothing] if self.returns else [])]
        changes = len(points) - 1 if self.stops else 1
        change_s = (self.seconds - len(self.stops) * self.hold) / max(changes, 1)
        shown = nothing
        for number in range(changes if self.stops else 0):
            start = number * (change_s + self.hold)
            share = min(max((place_s - start) / change_s, 0.0), 1.0)
            if place_s < start and number:
                break
            if self.ease == "sine":
                share = 0.5 - 0.5 * math.cos(math.pi * share)
            share = round(share, _FINE)
            shown = (self.strength * (1 - share)) * points[number] + (self.strength * share) * points[
                number + 1
            ]
        lids = _blink(time_s) if self.blinks else 0.0
        return (
            shown + Expression(controls={"AU45": round(lids, _FINE)}, regions=shown.regions)
            if lids
            else shown
        )


def _blink(time_s: float) -> float:
    """How far the lids are shut, 0 to 1; a blink is in the middle of each interval."""
    since = time_s % BLINK_EVERY_S - BLINK_EVERY_S / 2
    closing, shut = 0.3 * BLINK_S, 0.3 * BLINK_S
    if not 0 < since < BLINK_S:
        return 0.0
    return (
        min(1.0, since / closing)
        if since < closing + shut
        else (BLINK_S - since) / (BLINK_S - closing - shut)
    )


def resized(pixels: NDArray[np.uint8], longest_px: int, *, even: bool = False) -> NDArray[np.uint8]:
    """A picture whose longer side is at most so many px; with even sides for codecs that need these."""
    height, width = pixels.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = [max(2, round(side * scale)) for side in (width, height)]
    if even:
        size = [side - side % 2 for side in size]
    if size == [width, height]:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def frames(
    editor: Editor, scene: Scene, shown: Sequence[Expression], *, workers: int = 2
) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) uint8 of expressions, in order; equal ones are made once, some at a time.

    Raises:
        UsageError: The editor cannot show one of them.
    """
    for expression in shown:
        expression.check(1.0, only_eight=editor.face_model is None)
    texts = [expression.text for expression in shown]
    left = Counter(texts)
    made: dict[str, Future[NDArray[np.uint8]]] = {}
    ahead = deque(enumerate(shown))
    with one_thread(), ThreadPoolExecutor(workers, "exprgan-frame", use_one_thread) as pool:

        def make(expression: Expression) -> NDArray[np.uint8]:
            return np.asarray(editor.edit(scene, expression).image, np.uint8)

        for text in texts:
            while ahead and sum(not future.done() for future in made.values()) < 2 * workers:
                _, expression = ahead.popleft()
                if expression.text not in made:
                    made[expression.text] = pool.submit(make, expression)
            yield made[text].result()
            left[text] -= 1
            if not left[text]:
                del made[text]
