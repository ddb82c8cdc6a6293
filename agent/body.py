"""Request bodies as they are stored: compressed, and known by their digest."""

import hashlib
import threading

import zstandard

LARGEST = 16_000_000  # bytes that an unpacked body may claim: damage may claim more than there is memory

_own = threading.local()  # a compressor is dear to make, and for one thread at a time


def pack(body: bytes) -> bytes:
    packer: zstandard.ZstdCompressor | None = getattr(_own, "packer", None)
    if packer is None:
        packer = _own.packer = zstandard.ZstdCompressor(level=1, write_checksum=True)
    return packer.compress(body)


def unpack(content: bytes, *, expected: bytes) -> bytes | None:
    """The body with the `expected` SHA-256; None where it is damaged."""
    body = unpacked(content)
    return body if body is not None and hashlib.sha256(body).digest() == expected else None


def unpacked(content: bytes) -> bytes | None:
    """The body, as far as its checksum tells; None where it is damaged."""
    try:
        if not 0 <= zstandard.frame_content_size(content) <= LARGEST:
            return None
        return zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError:
        return None
