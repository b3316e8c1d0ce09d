"""ONNX files written by hand, a few protocol buffer fields at a time: the tests need no exporter."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

FLOAT, DOUBLE = 1, 11


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor_info(name: str, shape: Sequence[int | str], kind: int = FLOAT) -> bytes:
    sizes = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    return b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs) + field(4, kind)


def weights(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    return (
        b"".join(field(1, size) for size in shape)
        + field(2, FLOAT)
        + field(8, name)
        + field(9, struct.pack(f"<{len(values)}f", *values))
    )


def write(
    file: Path,
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    output: bytes,
    constants: Sequence[bytes] = (),
) -> Path:
    graph = b"".join(field(1, entry) for entry in nodes) + field(2, "tiny")
    graph += b"".join(field(5, entry) for entry in constants)
    graph += b"".join(field(11, entry) for entry in inputs) + field(12, output)
    file.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return file


def picture_encoder(file: Path, size: int | str = 8, channels: int = 3, scale: float = 1.0) -> Path:
    """The mean of each channel of a picture, times `scale`: shape (1, channels)."""
    return write(
        file,
        [
            node("GlobalAveragePool", ["pixels"], ["mean"]),
            node("Flatten", ["mean"], ["flat"]),
            node("Mul", ["flat", "scale"], ["embedding"]),
        ],
        [tensor_info("pixels", ["batch", channels, size, size])],
        tensor_info("embedding", ["batch", channels]),
        [weights("scale", [1], [scale])],
    )


def identity_encoder(file: Path, shape: Sequence[int | str] = ("batch", 3), kind: int = FLOAT) -> Path:
    """What goes in comes out."""
    return write(file, [node("Identity", ["x"], ["y"])], [tensor_info("x", shape, kind)], tensor_info("y", shape, kind))
