"""Request bodies as they are stored: compressed, and known by their digest."""

import zstandard

from agent.canonical import digest


def pack(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(body)


def unpack(content: bytes, *, size: int, expected: str) -> bytes | None:
    """The body of `size` bytes with the `expected` digest; None where it is damaged."""
    try:
        if zstandard.frame_content_size(content) != size:  # a damaged frame may claim more than there is memory
            return None
        body = zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError:
        return None
    return body if digest(body) == expected else None
