"""Edits of one prepared face: by a generator that knows the eight expressions, or by the face model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exprgan.edit.blend import Edit
from exprgan.errors import ExprganError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import CROP_PX
from exprgan.weights.runtime import PRIOR_MAPS, ROLES, Network, signed

if TYPE_CHECKING:
    from exprgan.edit.scene import PreparedFace
    from exprgan.face_model.amounts import Amounts
    from exprgan.face_model.fit import FaceAnalysis
    from exprgan.face_model.model import FaceModel
    from exprgan.face_model.prior import Prior

POOR_FIT_CM = (0.035, 0.08)
"""Residuals between which an edit fades out; 80 faces of open-faces val have .028 at most, scrambled ones often more.
"""
LEAST_SHARE = 0.9
"""Of what was asked; edits that reach less are noted."""
LEAST_BESIDE_GLASSES = 0.75
"""Of the motion that was asked for; where glasses hold still more of it, that is noted."""


class Proposal(NamedTuple):
    """An edit of one face, None if there is nothing to do, and what its owner is to be told of it, if anything."""

    edit: Edit | None
    note: str = ""


def by_generator(generator: Network, face: PreparedFace, expression: str, strength: float) -> Proposal:
    """What a generator in the role "edits" proposes for one of the eight expressions at a strength of 0 to 1.

    Raises:
        ExprganError: Its values are no numbers.
    """
    label = np.array([EXPRESSIONS.index(expression)], np.int64)
    regions = np.zeros((1, 3, CROP_PX, CROP_PX), np.float32) if face.regions is None else face.regions
    maps = generator(signed(face.pixels), regions, label, np.array([strength], np.float32))
    return of_maps(dict(zip(ROLES["edits"].outputs, maps, strict=True)), face)


def of_maps(maps: Mapping[str, NDArray[Any] | None], face: PreparedFace) -> Proposal:
    """A generator's edit of a face: its outputs in the role "edits", of one crop.

    Raises:
        ExprganError: Its values are no numbers.
    """
    given = {name: part for name, part in maps.items() if part is not None}
    _check_numbers(*given.values())
    return Proposal(Edit.from_maps(given, face=face.share))


def by_face_model(
    face_model: FaceModel, generator: Network | None, face: PreparedFace, asked: Amounts
) -> Proposal:
    """What the face model proposes, with a generator's corrections if there is one.

    Raises:
        ExprganError: The corrections are no numbers.
    """
    from exprgan.face_model.amounts import extent_of, on_face, scaled

    analysis = face.analysis
    assert analysis is not None
    amounts = on_face(asked, face_model.basis, analysis.scores)
    fitted = fit_share(analysis)
    share = fitted * face_model.possible_share(analysis, amounts)
    if share < 1:
        amounts = scaled(amounts, share)
    if extent_of(amounts) == 0:
        return Proposal(None, _note(fitted, share))
    prior = face_model.prior(face.pixels, analysis, amounts, teeth=face.teeth)
    change = None if generator is None else _corrections(generator, face, prior, amounts, face_model)
    note = _note(fitted, share) or _note_of_glasses(face_model, analysis, amounts)
    return Proposal(Edit.from_prior(prior, change), note)


def fit_share(analysis: FaceAnalysis) -> float:
    """How far a fit can be trusted, 0 to 1."""
    good, poor = POOR_FIT_CM
    return float(np.clip((poor - analysis.residual_cm) / (poor - good), 0, 1))


def _note(fitted: float, share: float) -> str:
    if fitted < LEAST_SHARE:
        return (
            f"edited at {100 * share:.0f} % of what was asked, as its landmarks do not look like a face's"
            if share > 0
            else "left as it is, as its landmarks do not look like a face's"
        )
    if share < LEAST_SHARE:
        return f"edited at {100 * share:.0f} % of what was asked, as the skin would fold over beyond that"
    return ""


def _note_of_glasses(face_model: FaceModel, analysis: FaceAnalysis, amounts: Amounts) -> str:
    if analysis.free is None:
        return ""
    held, whole = (
        float(np.linalg.norm(face_model.target_shape(each, amounts) - analysis.shape_cm))
        for each in (analysis, replace(analysis, free=None))
    )
    return "moved less where glasses stand still" if held < LEAST_BESIDE_GLASSES * whole else ""


def _corrections(
    generator: Network, face: PreparedFace, prior: Prior, amounts: Amounts, face_model: FaceModel
) -> tuple[np.ndarray, ...]:
    """flow_px (256, 256, 2), shade and light (256, 256, 3), deepening (256, 256, 1), float32."""
    from exprgan.face_model.amounts import extent_of, vector_of

    maps, asked = prior.maps(), vector_of(amounts, face_model.basis)
    extent = np.array([extent_of(amounts)], np.float32)
    assert face.regions is not None
    found = generator(
        signed(face.pixels), face.regions, *(maps[name][None] for name in PRIOR_MAPS), asked[None], extent
    )
    change = [np.asarray(part) for part in found]
    _check_numbers(*change)
    parts = [np.ascontiguousarray(part[0].transpose(1, 2, 0)) for part in change]
    assert face.analysis is not None
    moving = face_model.share(face.analysis, amounts)
    if moving is not None:
        size_hw = (face.pixels.shape[0], face.pixels.shape[1])
        share = face_model.regions.on_picture(size_hw, prior.target_px, moving)[..., None]
        parts = [part * share for part in parts]
    return tuple(parts)


def _check_numbers(*parts: NDArray[Any]) -> None:
    if not all(bool(np.isfinite(part).all()) for part in parts):
        raise ExprganError(
            "The generator's edit has values that are no number; check the weights with `exprgan weights verify`."
        )
