"""What a photo file carries beside its pixels: EXIF, XMP, PNG chunks, content credentials.

Everything here works on bytes and changes as little of them as it can: EXIF is patched in place, so that
maker notes with absolute offsets stay whole, and XMP is edited as text, so that foreign namespaces survive.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

TRAINED_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC DigitalSourceType of a photo parts of which were made by a trained model."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXIF_PREFIX = b"Exif\0\0"
ORIENTATION, EXIF_IFD, PIXEL_WIDTH, PIXEL_HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202

_XMP_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
)
_XMP_TAIL = '</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'


class _Tiff:
    """Entries of a TIFF structure (an EXIF block or a whole TIFF file), readable and patchable in place."""

    def __init__(self, data: bytearray) -> None:
        marks = {b"II*\0": "<", b"MM\0*": ">"}
        if bytes(data[:4]) not in marks:
            raise ValueError("not a TIFF structure")
        self.data, self.order = data, marks[bytes(data[:4])]
        self.first = self._get("I", 4)

    def _get(self, code: str, offset: int) -> int:
        try:
            return int(struct.unpack_from(self.order + code, self.data, offset)[0])
        except struct.error as error:
            raise ValueError("a directory points past the end") from error

    def entries(self, directory: int) -> dict[int, int]:
        """Offset of each tag's 12-byte entry in the directory at an offset."""
        count = self._get("H", directory)
        return {self._get("H", at): at for at in range(directory + 2, directory + 2 + 12 * count, 12)}

    def next_pointer(self, directory: int) -> int:
        """Where the offset of the directory that follows is written."""
        return directory + 2 + 12 * self._get("H", directory)

    def value(self, entry: int) -> int:
        """Value of a SHORT or LONG entry of one number."""
        return self._get("H" if self._get("H", entry + 2) == 3 else "I", entry + 8)

    def put(self, entry: int, value: int) -> None:
        code = "H" if self._get("H", entry + 2) == 3 else "I"
        struct.pack_into(self.order + code, self.data, entry + 8, value)


def exif_orientation(exif: bytes | None) -> int:
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
        if EXIF_IFD in main:
            sub = tiff.entries(tiff.value(main[EXIF_IFD]))
            for tag, length in ((PIXEL_WIDTH, size_wh[0]), (PIXEL_HEIGHT, size_wh[1])):
                if tag in sub:
                    tiff.put(sub[tag], length)
        _drop_thumbnail(tiff)
    except (ValueError, struct.error):
        return None
    return bytes(data)


def _drop_thumbnail(tiff: _Tiff) -> None:
    pointer = tiff.next_pointer(tiff.first)
    following = tiff._get("I", pointer) if pointer + 4 <= len(tiff.data) else 0
    if not following:
        return
    struct.pack_into(tiff.order + "I", tiff.data, pointer, 0)
    try:
        thumbnail = tiff.entries(following)
        offset = tiff.value(thumbnail[THUMBNAIL_OFFSET])
        length = tiff.value(thumbnail[THUMBNAIL_LENGTH])
    except (ValueError, KeyError):
        return
    if offset + length >= len(tiff.data):
        del tiff.data[offset:]
    else:
        tiff.data[offset : offset + length] = bytes(length)


def provenance_xmp(xmp: bytes | None, *, tool: str, weights: str | None = None) -> bytes:
    """XMP packet that says the photo was edited by a trained model; what the given packet says is kept.

    Args:
        xmp: Packet of the source photo, UTF-8, or None.
        tool: Name and version of the program.
        weights: Name and hash of the weights used.
    """
    mark = (
        '<rdf:Description rdf:about="" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:exprgan="urn:exprgan:1.0" Iptc4xmpExt:DigitalSourceType="{TRAINED_COMPOSITE}"'
        f" exprgan:Tool={quoteattr(tool)}"
        + (f" exprgan:Weights={quoteattr(weights)}" if weights else "")
        + "/>"
    )
    text = _upright_text(xmp)
    if text is not None:
        text = re.sub(r'\s[\w-]+:DigitalSourceType\s*=\s*("[^"]*"|\'[^\']*\')', "", text)
        text = re.sub(r"(?s)<([\w-]+:DigitalSourceType)\b[^>]*?(/>|>.*?</\1\s*>)", "", text)
        text = re.sub(r"<rdf:Description\b[^>]*exprgan:Tool=[^>]*/>\n?", "", text)
        head, end, tail = text.rpartition("</rdf:RDF>")
        if end:
            return f"{head}{mark}\n{end}{tail}".encode()
        if re.search(r"<rdf:RDF\b[^>]*/>", text):  # an empty packet
            return re.sub(r"<rdf:RDF\b([^>]*)/>", rf"<rdf:RDF\1>{mark}</rdf:RDF>", text, count=1).encode()
    return f"{_XMP_HEAD}{mark}\n{_XMP_TAIL}".encode()


def upright_xmp(xmp: bytes | None) -> bytes | None:
    """XMP packet whose `tiff:Orientation` is 1, where it has one."""
    text = _upright_text(xmp)
    return xmp if text is None else text.encode()


def _upright_text(xmp: bytes | None) -> str | None:
    if not xmp:
        return None
    try:
        text = xmp.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
    text = re.sub(r'(\btiff:Orientation\s*=\s*["\'])\d', r"\g<1>1", text)
    return re.sub(r"(<tiff:Orientation>\s*)\d", r"\g<1>1", text)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk of a PNG file, in order, up to and with IEND.

    Raises:
        ValueError: The file ends early or a chunk's checksum is wrong.
    """
    at, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError("the file is truncated")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            raise ValueError("the file is truncated")
        if zlib.crc32(data[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        yield kind, data[at + 8 : end]
        at = end + 4


def insert_png_chunks(data: bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """PNG file with chunks put in right after its IHDR chunk."""
    after_header = len(PNG_SIGNATURE) + 25
    packed = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"".join([data[:after_header], *packed, data[after_header:]])


def png_xmp_chunk(xmp: bytes) -> tuple[bytes, bytes]:
    """The iTXt chunk that holds an XMP packet."""
    return b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp


def jpeg_segments(applist: list[tuple[str, bytes]], keep: tuple[str, ...] = ("APP13",)) -> bytes:
    """Application segments as they stand in a JPEG file, for example Photoshop's with the IPTC record."""
    return b"".join(
        bytes([0xFF, 0xE0 + int(name[3:])]) + struct.pack(">H", len(content) + 2) + content
        for name, content in applist
        if name in keep
    )


def has_content_credentials(data: bytes) -> bool:
    """Whether the file seems to carry a C2PA manifest, whose signature an edit breaks."""
    return b"jumb" in data and b"c2pa" in data
