"""What the describers share: declaring columns, taking values in, giving figures out, refusing with a code.

Codes of refusal: `wrong_type`, `bad_shape`, `bad_range`, `empty`, `not_finite`, `no_rate`, `bad_rate`, `not_found`,
`too_large`, `truncated`, `decode_failed`, `extra_missing`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.ports import DescriptorColumn

MAX_FILE_BYTES = 256 << 20
"""Largest encoded payload that is read."""
DIGITS = 7
"""Significant digits of a figure: more would be noise, and would differ between machines."""
_FORM = f"%.{DIGITS}g"
MAX_RATE = 1e9


def number(name: str, unit: str, meaning: str, title: str = "") -> DescriptorColumn:
    """A numeric column."""
    return DescriptorColumn(name, "numeric", unit, meaning, title)


def category(name: str, meaning: str, title: str = "") -> DescriptorColumn:
    """A categorical column."""
    return DescriptorColumn(name, "categorical", "1", meaning, title)


def figure(value: Any) -> float | None:
    """A plain float of DIGITS significant digits; None for NaN, infinity and what is absent already.

    >>> figure(1 / 3), figure(float("nan"))
    (0.3333333, None)
    """
    if value is None:
        return None
    if value == 0:  # many are
        return float(value)
    plain = float(_FORM % value)
    return plain if plain - plain == 0.0 else None  # inf - inf and nan - nan are nan


def with_libraries(version: str, *libraries: str) -> str:
    """`version`, and the libraries among `libraries` that are installed here and change what the figures are.

    Figures made with and without a library are of different describers, and are never compared.
    """
    return "+".join([version, *(name for name in libraries if find_spec(name) is not None)])


def share(part: float, whole: float) -> float | None:
    """The share of `part` in `whole`, or None for nothing of nothing."""
    return part / whole if whole else None


def array_of(value: Any, what: str) -> NDArray[Any]:
    """`value` as an array of booleans, integers or floats; lists and tensors are converted, anything else is refused."""
    array: NDArray[Any] = value
    if not isinstance(array, np.ndarray):
        if isinstance(value, (str, bytes, bytearray, memoryview, dict, set)) or value is None:
            raise refuse_type(value, what)
        try:
            if hasattr(value, "detach"):  # a tensor that tracks gradients or lives on another device
                value = value.detach().cpu()
            array = np.asarray(value)
        except Exception as error:  # whatever a foreign __array__ raises
            raise refuse_type(value, what) from error
    if array.dtype.kind not in "buif":
        raise DescribeError(
            "wrong_type", f"{what} of {array.dtype} values cannot be described", fix="give integers or floats"
        )
    return array


def refuse_type(value: Any, what: str) -> DescribeError:
    """The error for a value that is no `what` at all."""
    return DescribeError("wrong_type", f"{type(value).__name__} is not {what}", fix=f"give {what}")


def check_rate(rate: Any, what: str) -> float:
    """A sampling rate in Hz, or the refusal of one that is absent or impossible."""
    if rate is None:
        raise DescribeError("no_rate", f"{what} without a sampling rate", fix="give rate, in Hz")
    try:
        hertz = float(rate)
    except (TypeError, ValueError, OverflowError) as error:
        raise DescribeError("bad_rate", f"{rate!r} is not a sampling rate", fix="give rate, in Hz") from error
    if not 0.0 < hertz <= MAX_RATE:
        raise DescribeError("bad_rate", f"{rate!r} is not a sampling rate", fix="give a positive rate, in Hz")
    return hertz


def is_encoded(value: Any) -> bool:
    """Whether `value` is a file's bytes or the path of a file."""
    return isinstance(value, (bytes, bytearray, memoryview, str, os.PathLike))


def file_of(value: str | os.PathLike[Any]) -> Path:
    """The regular file at a path, neither absent nor too large; devices and pipes could block for ever."""
    try:
        path = Path(os.fsdecode(value))
        status = path.stat()
    except (OSError, ValueError) as error:
        raise DescribeError("not_found", "there is no such file", fix="give the path of a file") from error
    if not stat.S_ISREG(status.st_mode):
        raise DescribeError("not_found", "the path is not a file", fix="give the path of a file")
    _check_size(status.st_size)
    return path


def bytes_of(value: Any) -> bytes:
    """The encoded payload: the bytes themselves, or those of the file at the path."""
    if isinstance(value, (str, os.PathLike)):
        try:
            data = file_of(value).read_bytes()
        except OSError as error:
            raise DescribeError("not_found", "the file cannot be read", fix="check its permissions") from error
    else:
        _check_size(value.nbytes if isinstance(value, memoryview) else len(value))
        data = bytes(value)
    if not data:
        raise DescribeError("empty", "the file has no bytes")
    return data


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DescribeError("too_large", f"{size} bytes are more than {MAX_FILE_BYTES}", fix="give a smaller file")


def blocks(n: int, limit: int, size: int) -> Iterator[slice]:
    """Slices that cover all of `n`, or `limit` of it in runs of `size` spread evenly: neighbours stay neighbours.

    >>> list(blocks(10, 4, 2))
    [slice(0, 2, None), slice(8, 10, None)]
    """
    if n <= limit:
        yield slice(0, n)
        return
    count = max(1, limit // size)
    for start in np.linspace(0, n - size, count).astype(np.int64).tolist():
        yield slice(start, start + size)


def quantile(rising: NDArray[Any], q: float) -> float:
    """Linear quantile of sorted values, as numpy.quantile gives it, without its overhead."""
    place = q * (len(rising) - 1)
    low = int(place)
    high = min(low + 1, len(rising) - 1)
    return float(rising[low] + (place - low) * (float(rising[high]) - float(rising[low])))
