"""What a photo file carries beside pixels and EXIF: XMP, Photoshop's resources, content credentials.

XMP is edited as text, so that foreign namespaces survive.
"""

from __future__ import annotations

import re
import struct
from xml.sax.saxutils import quoteattr

TRAINED_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC DigitalSourceType of a photo parts of which were made by a trained model."""

CREDENTIALS_LEFT_OUT = "Its content credentials (C2PA) are left out, because an edit breaks their signature."
"""Note of a photo whose file has some; signed results keep them (`exprgan.photos.credentials`)."""
PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"
_CLIP = re.compile(rb"(\xff\xd9)(?:.{0,64}?MotionPhoto_Data)?\0\0\0[\x10-\x40]ftyp", re.DOTALL)
"""The end of a picture and the begin of an MP4, with what Samsung's phones write between."""
EXTENDED_XMP_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
_THUMBNAIL_RESOURCES = (1033, 1036)
_SEGMENT_BYTES = 65_533  # that one JPEG segment holds

_XMP_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
)
_XMP_TAIL = '</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'


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
    text = _text_of(xmp)
    if text is not None:
        text = re.sub(r'\s[\w-]+:DigitalSourceType\s*=\s*("[^"]*"|\'[^\']*\')', "", text)
        text = re.sub(r"<([\w-]+:DigitalSourceType)\b[^<>]*(/>|>[^<]*</\1\s*>)", "", text)
        text = re.sub(
            r"<rdf:Description\b[^<>]*>\n?", lambda tag: "" if _is_our_mark(tag[0]) else tag[0], text
        )
        head, end, tail = text.rpartition("</rdf:RDF>")
        if end:
            return f"{head}{mark}\n{end}{tail}".encode()
        if re.search(r"<rdf:RDF\b[^<>]*/>", text):  # an empty packet
            return re.sub(r"<rdf:RDF\b([^<>]*)/>", rf"<rdf:RDF\1>{mark}</rdf:RDF>", text, count=1).encode()
    return f"{_XMP_HEAD}{mark}\n{_XMP_TAIL}".encode()


def clip_of(data: bytes) -> bytes:
    """The clip of a motion photo, the bytes behind a JPEG file's last picture from which an MP4 begins; else none.

    Players find it by its distance from the file's end (XMP of GCamera's MicroVideo and MotionPhoto, Samsung's
    trailer), so the bytes may be kept behind another picture.
    """
    found = _CLIP.search(data)
    return data[found.end(1) :] if found else b""


def clean_xmp(xmp: bytes | None) -> bytes | None:
    """XMP packet fit for upright, edited pixels.

    `tiff:Orientation` becomes 1; thumbnails, which show the old face, and the address of content credentials,
    whose signature the edit breaks, are cut out.
    """
    text = _text_of(xmp)
    if text is None:
        return xmp
    text = re.sub(r'(\btiff:Orientation\s*=\s*["\'])\d', r"\g<1>1", text)
    text = re.sub(r"(<tiff:Orientation>\s*)\d", r"\g<1>1", text)
    text = _without_element(text, "xmp:Thumbnails")
    text = re.sub(r'\sdcterms:provenance\s*=\s*("[^"]*"|\'[^\']*\')', "", text)
    return _without_element(text, "dcterms:provenance").encode()


def trimmed_xmp(xmp: bytes, limit: int) -> bytes | None:
    """XMP packet of at most `limit` bytes: without padding, else only our own mark, else None."""
    if len(xmp) > limit:
        xmp = re.sub(rb"\s{16,}", b"\n", xmp)
    if len(xmp) > limit:
        tags = re.findall(rb"<rdf:Description\b[^<>]*>", xmp)
        marks = [tag.decode() for tag in tags if _is_our_mark(tag.decode(errors="ignore"))]
        xmp = f"{_XMP_HEAD}{marks[0]}\n{_XMP_TAIL}".encode() if marks else b""
    return xmp or None


def _is_our_mark(tag: str) -> bool:
    return "exprgan:Tool=" in tag and tag.rstrip().endswith("/>")


def _without_element(text: str, name: str) -> str:
    """XML text without the elements of a name that has no attributes, in time that grows with the text alone."""
    parts, start = [], 0
    while (begin := text.find(f"<{name}>", start)) >= 0:
        end = text.find(f"</{name}>", begin)
        if end < 0:
            break
        parts.append(text[start:begin])
        start = end + len(f"</{name}>")
    return "".join([*parts, text[start:]])


def _text_of(xmp: bytes | None) -> str | None:
    """Text of an XMP packet; None where it cannot be edited."""
    try:
        return xmp.rstrip(b"\0").decode() if xmp else None
    except UnicodeDecodeError:
        return None


def kept_jpeg_segments(applist: list[tuple[str, bytes]]) -> bytes:
    """Segments of a JPEG file to be written again: Photoshop's with the IPTC record, and extended XMP.

    Photoshop's thumbnails and extended XMP with Google's copy of the picture show the old face: left out.
    """
    photoshop = [content for name, content in applist if name == "APP13"]
    resources = b"".join(
        c.removeprefix(PHOTOSHOP_PREFIX) for c in photoshop if c.startswith(PHOTOSHOP_PREFIX)
    )
    resources = without_thumbnails(resources)
    room = _SEGMENT_BYTES - len(PHOTOSHOP_PREFIX)
    segments = [
        (13, PHOTOSHOP_PREFIX + resources[at : at + room]) for at in range(0, len(resources), room)
    ] + [(13, content) for content in photoshop if not content.startswith(PHOTOSHOP_PREFIX)]
    extended = [c for name, c in applist if name == "APP1" and c.startswith(EXTENDED_XMP_PREFIX)]
    if not any(b"GImage:" in content for content in extended):
        segments += [(1, content) for content in extended]
    return b"".join(
        bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(content) + 2) + content
        for number, content in segments
    )


def without_thumbnails(resources: bytes) -> bytes:
    """Photoshop's image resources (8BIM blocks) without those that hold a thumbnail."""
    kept, at = b"", 0
    while at + 12 <= len(resources):
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        sized = at + 6 + (resources[at + 6] + 2) // 2 * 2  # after the name, padded to even length
        end = sized + 4 + (int.from_bytes(resources[sized : sized + 4], "big") + 1) // 2 * 2
        if number not in _THUMBNAIL_RESOURCES:
            kept += resources[at:end]
        at = end
    return kept


def has_content_credentials(data: bytes, xmp: bytes | None) -> bool:
    """Whether a file carries a C2PA manifest, whose signature an edit breaks, or names one elsewhere.

    A manifest is a JUMBF box of the type c2pa in a file of any format (C2PA 2.1, 11.1 and A.3).
    """
    return b"jumdc2pa" in data or b"dcterms:provenance" in (xmp or b"")
