"""Image files of more than 8 bits a channel, written byte by byte."""

import struct
import zlib

import numpy as np

FORMATS = {"u": 1, "i": 2, "f": 3}  # TIFF's numbers of unsigned, signed and floats


def tiff(values, *, order="<", photometric=None, compressed=False, bits=None):
    """A TIFF of [H, W] or [H, W, C], in one strip.

    ``bits`` packs values of fewer bits, 12 in three bytes a pair.
    """
    height, width, *channels = values.shape
    count = channels[0] if channels else 1
    content = values.astype(values.dtype.newbyteorder(order)).tobytes()
    if bits == 12:
        first, second = values.reshape(-1, 2).astype(np.uint32).T
        both = first << 12 | second
        content = np.stack([both >> 16, both >> 8, both], -1).astype(np.uint8).tobytes()
    if compressed:
        content = zlib.compress(content)
    if photometric is None:
        photometric = 2 if count in (3, 4) else 1
    size = bits or 8 * values.dtype.itemsize
    tags = {
        256: width, 257: height, 258: [size] * count, 259: 8 if compressed else 1,
        262: photometric, 273: 8, 277: count, 278: height, 279: len(content),
        339: [FORMATS[values.dtype.kind]] * count,
    }  # fmt: skip
    extra = count - {2: 3, 5: 4}.get(photometric, 1)
    if extra:
        tags[338] = [2 if count == 4 else 0] * extra
    content += b"\0" * (len(content) % 2)
    start = 8 + len(content)
    table, beyond = b"", b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        numbers = value if isinstance(value, list) else [value]
        kind = 3 if isinstance(value, list) else 4
        packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'L'}", *numbers)
        if len(packed) > 4:
            place, beyond = struct.pack(f"{order}L", after + len(beyond)), beyond + packed
        else:
            place = packed.ljust(4, b"\0")
        table += struct.pack(f"{order}HHL", tag, kind, len(numbers)) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HL", 42, start)
    return head + content + struct.pack(f"{order}H", len(tags)) + table + b"\0" * 4 + beyond


def chunk(kind, content):
    """One chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(values, *, before=(), hidden=None):
    """A PNG of uint8 or uint16, [H, W] or [H, W, C]; ``hidden`` is the value that is no pixel.

    ``before`` are chunks that stand before the pixels.
    """
    height, width, *channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels[0] if channels else 1]
    lines = values.astype(values.dtype.newbyteorder(">"))
    content = b"".join(b"\0" + line.tobytes() for line in lines)
    depth = 8 * values.dtype.itemsize
    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), *before]
    if hidden is not None:
        chunks.append(chunk(b"tRNS", struct.pack(f">{np.size(hidden)}H", *np.ravel(hidden))))
    chunks += [chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pnm(values, highest):
    """A PGM of uint16 [H, W] or a PPM of [H, W, 3], with the highest value that it claims."""
    letter = "P5" if values.ndim == 2 else "P6"
    head = f"{letter} {values.shape[1]} {values.shape[0]} {highest}\n".encode()
    return head + values.astype(">u2").tobytes()
