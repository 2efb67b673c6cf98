"""The protobuf wire format, read within limits: fields of a message as (number, value) pairs.

https://protobuf.dev/programming-guides/encoding/. Nothing is copied: a nested message or a
megabyte of weights is a view of the bytes that were given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_UINT64 = (1 << 64) - 1
# Other readers keep 32 bits of a tag: a larger one is another field to them than to us.
_LARGEST_TAG = (1 << 32) - 1

Value = int | float | memoryview
"""An integer as it is encoded (unsigned), a number of fixed width (in ONNX always a float), or the
bytes of a string, message or packed list."""


class Malformed(ValueError):
    """Bytes that are no protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Each field of a message in order.

    Raises
    ------
    Malformed
        If a field is cut off, has number 0, a tag of more than 32 bits, or a wire type that
        protobuf 3 does not have.

    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Malformed(f"a field without a number at byte {position}")
        if tag > _LARGEST_TAG:
            raise Malformed(f"a field number beyond all bounds at byte {position}")
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
        elif kind == _BYTES:
            length, position = _varint(message, position)
            yield number, _piece(message, position, length)
            position += length
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
            piece = _piece(message, position, size)
            yield number, struct.unpack("<f" if size == 4 else "<d", piece)[0]
            position += size
        else:
            raise Malformed(f"wire type {kind} at byte {position}")


def varints(value: Value) -> Iterator[int]:
    """The numbers of a repeated field, which may be packed, as signed 64-bit integers."""
    if not isinstance(value, memoryview):
        yield signed(integer(value))
        return
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        yield signed(number)


def signed(number: int) -> int:
    """An int64 from its encoding."""
    return number - (1 << 64) if number >> 63 else number


def integer(value: Value) -> int:
    """A field that is an integer, as it is encoded.

    Raises
    ------
    Malformed

    """
    if not isinstance(value, int):
        raise Malformed("something else where an integer is expected")
    return value


def text(value: Value) -> str:
    """A string field.

    Raises
    ------
    Malformed

    """
    if not isinstance(value, memoryview):
        raise Malformed("a number where a text is expected")
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a text that is not UTF-8") from error


def message(value: Value) -> memoryview:
    """A field that is a message or bytes.

    Raises
    ------
    Malformed

    """
    if not isinstance(value, memoryview):
        raise Malformed("a number where a message is expected")
    return value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    number = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= len(data):
            raise Malformed("it ends in the middle of a number")
        byte = data[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & _UINT64, position + index + 1
    raise Malformed(f"a number of more than {_LONGEST_VARINT} bytes at byte {position}")


def _piece(data: memoryview, position: int, length: int) -> memoryview:
    if position + length > len(data):
        raise Malformed(f"it ends before the {length:,} bytes that it announces")
    return data[position : position + length]
