"""EXIF blocks: read and patched in place, so that maker notes with absolute offsets stay whole."""

from __future__ import annotations

import struct

PREFIX = b"Exif\0\0"
ORIENTATION, EXIF_IFD, PIXEL_WIDTH, PIXEL_HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202


class _Tiff:
    """Entries of a TIFF structure (an EXIF block or a whole TIFF file), readable and patchable in place."""

    def __init__(self, data: bytearray) -> None:
        marks = {b"II*\0": "<", b"MM\0*": ">"}
        if bytes(data[:4]) not in marks:
            raise ValueError("not a TIFF structure")
        self.data, self.order = data, marks[bytes(data[:4])]
        self.first = self.number("I", 4)

    def number(self, code: str, offset: int) -> int:
        """The number of struct's kind `code` at an offset."""
        try:
            return int(struct.unpack_from(self.order + code, self.data, offset)[0])
        except struct.error as error:
            raise ValueError("a directory points past the end") from error

    def entries(self, directory: int) -> dict[int, int]:
        """Offset of each tag's 12-byte entry in the directory at an offset."""
        count = self.number("H", directory)
        return {self.number("H", at): at for at in range(directory + 2, directory + 2 + 12 * count, 12)}

    def next_pointer(self, directory: int) -> int:
        """Where the offset of the directory that follows is written."""
        return directory + 2 + 12 * self.number("H", directory)

    def value(self, entry: int) -> int:
        """Value of a SHORT or LONG entry of one number."""
        return self.number("H" if self.number("H", entry + 2) == 3 else "I", entry + 8)

    def put(self, entry: int, value: int) -> None:
        code = "H" if self.number("H", entry + 2) == 3 else "I"
        struct.pack_into(self.order + code, self.data, entry + 8, value)


def orientation_of(exif: bytes | None) -> int:
    """Orientation 1 to 8 written in an EXIF block (without `Exif` prefix) or TIFF file; 1 where none is."""
    if not exif:
        return 1
    try:
        tiff = _Tiff(bytearray(exif))
        entry = tiff.entries(tiff.first).get(ORIENTATION)
        value = tiff.value(entry) if entry is not None else 1
    except ValueError:
        return 1
    return value if 1 <= value <= 8 else 1


def with_orientation(tiff_data: bytes, orientation: int = 1) -> bytes:
    """Copy of an EXIF block or TIFF file with another orientation, where it has one."""
    data = bytearray(tiff_data)
    try:
        tiff = _Tiff(data)
        entry = tiff.entries(tiff.first).get(ORIENTATION)
        if entry is not None:
            tiff.put(entry, orientation)
    except ValueError:
        return tiff_data
    return bytes(data)


def upright_exif(exif: bytes | None, size_wh: tuple[int, int]) -> bytes | None:
    """EXIF block fit for upright, edited pixels, or None where the block is damaged.

    Orientation becomes 1, the recorded pixel size the given one, and the thumbnail, which shows the old face,
    is cut off. Everything else keeps its place, maker notes included.
    """
    if not exif:
        return None
    data = bytearray(exif)
    try:
        tiff = _Tiff(data)
        main = tiff.entries(tiff.first)
        if ORIENTATION in main:
            tiff.put(main[ORIENTATION], 1)
        directories = [tiff.first]
        if EXIF_IFD in main:
            directories.append(tiff.value(main[EXIF_IFD]))
            sub = tiff.entries(directories[-1])
            for tag, length in ((PIXEL_WIDTH, size_wh[0]), (PIXEL_HEIGHT, size_wh[1])):
                if tag in sub:
                    tiff.put(sub[tag], length)
        _drop_thumbnail(tiff, directories)
    except (ValueError, struct.error):
        return None
    return bytes(data)


def _drop_thumbnail(tiff: _Tiff, directories: list[int]) -> None:
    """Cut the second directory and its picture off; ValueError where it lies over one of the directories."""
    pointer = tiff.next_pointer(tiff.first)
    following = tiff.number("I", pointer) if pointer + 4 <= len(tiff.data) else 0
    if not following:
        return
    struct.pack_into(tiff.order + "I", tiff.data, pointer, 0)
    try:
        thumbnail = tiff.entries(following)
        offset = tiff.value(thumbnail[THUMBNAIL_OFFSET])
        end = offset + tiff.value(thumbnail[THUMBNAIL_LENGTH])
    except (ValueError, KeyError):
        return
    spans = [(0, 8), *((start, tiff.next_pointer(start) + 4) for start in directories)]
    if any(offset < stop and end > start for start, stop in spans):
        raise ValueError("the thumbnail lies over a directory")
    if end >= len(tiff.data):
        del tiff.data[offset:]
    else:
        tiff.data[offset:end] = bytes(end - offset)
