"""The 478-point face mesh: its mirror image, vertex groups and the five points that faces are aligned by.

Groups are tuples; rows of lips and lids, from right to left or back, are arrays to index points with.

The topology is that of MediaPipe's face landmarker (468 mesh vertices and ten iris points, Apache 2.0,
https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker). "Left" and "right" are the subject's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUM_POINTS = 478

RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473
IRISES = tuple(range(468, 478))
NOSE_TIP, CHIN = 4, 152
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 61, 291
FIVE_POINTS = (RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE, NOSE_TIP, RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER)
"""Mesh points in the order of `Face.points5_xy`; open-faces is aligned by exactly these."""

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 97, 326, 327, 48, 278, 64, 294)
BROWS_LINE = (46, 53, 52, 65, 55, 285, 295, 282, 283, 276)
NOSE_OUTLINE = (168, 122, 196, 236, 198, 129, 64, 98, 97, 2, 326, 327, 294, 358, 420, 456, 419, 351)
NOSTRILS = (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64)
CHEEKS = ((205, 50, 117, 123, 187), (425, 280, 346, 352, 411))
"""A patch of skin on each side, the subject's right one first."""

INNER_MOUTH_CORNERS = (78, 308)
UPPER_INNER_LIP = np.array([191, 80, 81, 82, 13, 312, 311, 310, 415])
LOWER_INNER_LIP = np.array([95, 88, 178, 87, 14, 317, 402, 318, 324])
LIP_COLUMNS = np.array([
    [
        [185, 184, 183, 191], [40, 74, 42, 80], [39, 73, 41, 81], [37, 72, 38, 82], [0, 11, 12, 13],
        [267, 302, 268, 312], [269, 303, 271, 311], [270, 304, 272, 310], [409, 408, 407, 415],
    ],
    [
        [146, 77, 96, 95], [91, 90, 89, 88], [181, 180, 179, 178], [84, 85, 86, 87], [17, 16, 15, 14],
        [314, 315, 316, 317], [405, 404, 403, 402], [321, 320, 319, 318], [375, 307, 325, 324],
    ],
])  # fmt: skip
"""Points (2, 9, 4) of the upper and the lower lip from right to left, each column from the border to the inner rim."""
UPPER_INNER_CURVE = np.r_[78, UPPER_INNER_LIP, 308]
LOWER_INNER_CURVE = np.r_[78, LOWER_INNER_LIP, 308]
INNER_MOUTH_OUTLINE = np.r_[UPPER_INNER_CURVE, LOWER_INNER_LIP[::-1]]
UPPER_LIP_OUTLINE = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78,
)  # fmt: skip
LOWER_LIP_OUTLINE = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78,
)  # fmt: skip
UPPER_LIP = np.array([
    185, 40, 39, 37, 0, 267, 269, 270, 409, 184, 74, 73, 72, 11, 302, 303, 304, 408, 183, 42, 41, 38, 12, 268, 271,
    272, 407, *UPPER_INNER_LIP,
])  # fmt: skip
LOWER_LIP = np.array([
    146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403,
    319, 325, *LOWER_INNER_LIP,
])  # fmt: skip
"""All vertices of a lip but the mouth's corners."""
RIGHT_UPPER_LID = np.array([33, 246, 161, 160, 159, 158, 157, 173, 133])
RIGHT_LOWER_LID = np.array([33, 7, 163, 144, 145, 153, 154, 155, 133])
LEFT_UPPER_LID = np.array([362, 398, 384, 385, 386, 387, 388, 466, 263])
LEFT_LOWER_LID = np.array([362, 382, 381, 380, 374, 373, 390, 249, 263])

_MIRROR_TEXT = (
    "0 1 2 248 4 5 6 249 8 9 10 11 12 13 14 15 16 17 18 19 250 251 252 253 254 255 256 257 258 259 260 "
    "261 262 263 264 265 266 267 268 269 270 271 272 273 274 275 276 277 278 279 280 281 282 283 284 "
    "285 286 287 288 289 290 291 292 293 294 295 296 297 298 299 300 301 302 303 304 305 306 307 308 "
    "309 310 311 312 313 314 315 316 317 318 319 320 321 322 323 94 324 325 326 327 328 329 330 331 332 "
    "333 334 335 336 337 338 339 340 341 342 343 344 345 346 347 348 349 350 351 352 353 354 355 356 "
    "357 358 359 360 361 362 363 364 365 366 367 368 369 370 371 372 373 374 375 376 377 378 379 151 "
    "152 380 381 382 383 384 385 386 387 388 389 390 164 391 392 393 168 394 395 396 397 398 399 175 "
    "400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415 416 417 418 195 419 197 420 199 "
    "200 421 422 423 424 425 426 427 428 429 430 431 432 433 434 435 436 437 438 439 440 441 442 443 "
    "444 445 446 447 448 449 450 451 452 453 454 455 456 457 458 459 460 461 462 463 464 465 466 467 3 "
    "7 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 "
    "52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 "
    "85 86 87 88 89 90 91 92 93 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 "
    "114 115 116 117 118 119 120 121 122 123 124 125 126 127 128 129 130 131 132 133 134 135 136 137 "
    "138 139 140 141 142 143 144 145 146 147 148 149 150 153 154 155 156 157 158 159 160 161 162 163 "
    "165 166 167 169 170 171 172 173 174 176 177 178 179 180 181 182 183 184 185 186 187 188 189 190 "
    "191 192 193 194 196 198 201 202 203 204 205 206 207 208 209 210 211 212 213 214 215 216 217 218 "
    "219 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 "
    "243 244 245 246 247 473 476 475 474 477 468 471 470 469 472 "
)
MIRROR: NDArray[np.int64] = np.array(_MIRROR_TEXT.split(), np.int64)
"""`mirrored_points = points[MIRROR]` after x has been mirrored; its own inverse."""


def _other_side(name: str) -> str:
    """The shape's name on the other side; one without a side keeps its name."""
    sides = {"Left": "Right", "Right": "Left"}
    return next((name.removesuffix(a) + b for a, b in sides.items() if name.endswith(a)), name)


_BLENDSHAPES_TEXT = (
    "browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft "
    "cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft "
    "eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight "
    "eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight "
    "mouthFrownLeft mouthFrownRight mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight "
    "mouthPressLeft mouthPressRight mouthPucker mouthRight mouthRollLower mouthRollUpper mouthShrugLower "
    "mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft mouthStretchRight mouthUpperUpLeft "
    "mouthUpperUpRight noseSneerLeft noseSneerRight "
)
BLENDSHAPES = tuple(_BLENDSHAPES_TEXT.split())
"""ARKit's coefficients in the order of MediaPipe's landmarker, without its `_neutral`; sides are the subject's."""
BLENDSHAPE_MIRROR: NDArray[np.int64] = np.array(
    [BLENDSHAPES.index(_other_side(name)) for name in BLENDSHAPES], np.int64
)
"""`mirrored_coefficients = coefficients[BLENDSHAPE_MIRROR]`; its own inverse."""


def five_points(landmarks_xy: NDArray[np.floating]) -> NDArray[np.float32]:
    """Right eye, left eye, nose tip, right and left mouth corner (..., 5, 2) of landmarks (..., 478, 2)."""
    return np.asarray(landmarks_xy[..., list(FIVE_POINTS), :], np.float32)


def roll_degrees(landmarks_xy: NDArray[np.floating]) -> float:
    """In-plane turn of a face (478, 2) in degrees, positive when it is turned clockwise in the picture.

    The eye line and the line from the eyes to the mouth, weighted by their lengths, so that a profile,
    whose eye line is short, still has a steady roll.
    """
    right_eye, left_eye, _, right_mouth, left_mouth = five_points(landmarks_xy).astype(np.float64)
    across = left_eye - right_eye
    down = (right_mouth + left_mouth - right_eye - left_eye) / 2
    return float(np.degrees(np.arctan2(across[1] - down[0], across[0] + down[1])))


def face_square(landmarks_xy: NDArray[np.floating], *, margin: float = 1.3) -> NDArray[np.float64]:
    """The upright square (centre x, centre y, side, roll in degrees) around a face's landmarks (478, 2).

    The square is turned with the face; its side is `margin` times the longer side of the landmarks' box.
    """
    roll = roll_degrees(landmarks_xy)
    turn = np.exp(-1j * np.radians(roll))
    upright = (landmarks_xy[..., 0] + 1j * landmarks_xy[..., 1]) * turn
    low, high = (np.array([f(upright.real), f(upright.imag)]) for f in (np.min, np.max))
    centre = complex(*((low + high) / 2)) / turn
    return np.array([centre.real, centre.imag, margin * float((high - low).max()), roll])
