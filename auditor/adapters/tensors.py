"""Values of many rows: frozen while they still stand in the call, read row by row in the worker.

Whatever speaks arrays is taken: torch tensors (of an accelerator, too: the copy to the host's memory runs on the caller's
stream and nobody waits for it but the worker), numpy, JAX and TensorFlow. No library is imported here that the value did
not bring along.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from auditor.agent.snapshot import MAX_PAYLOAD, TooLarge, freeze


class Taken:
    """A frozen value of one call.

    Parameters
    ----------
    read : callable
        Gives the value; called once, in the worker.
    each : bool
        Whether it has a row for each chosen row of the call; else it is the same for all.
    size : int
        Bytes that it holds.
    """

    __slots__ = ("_each", "_read", "_value", "size")

    def __init__(self, read: Callable[[], Any], each: bool, size: int) -> None:
        self._read: Callable[[], Any] | None = read
        self._value: Any = None
        self._each = each
        self.size = size

    def at(self, position: int) -> Any:
        """The row of the chosen row at that position."""
        if self._read is not None:
            self._value, self._read = self._read(), None
        return self._value[position] if self._each else self._value


class Lazy:
    """What the worker works out for each chosen row.

    >>> Lazy(lambda position: position * 2).at(3)
    6
    """

    __slots__ = ("at",)

    def __init__(self, at: Callable[[int], Any]) -> None:
        self.at = at


def is_array(value: Any) -> bool:
    """Whether a value is a tensor or an array, and no scalar of Python's.

    >>> import numpy
    >>> is_array(numpy.zeros((2, 3))), is_array([1, 2]), is_array(numpy)
    (True, False, False)
    """
    kind = type(value)
    known = _arrays.get(kind)
    if known is None:
        known = hasattr(kind, "shape") and hasattr(kind, "dtype") and hasattr(kind, "__array__")
        if len(_arrays) < _KNOWN_TYPES:
            _arrays[kind] = known
    return known


_arrays: dict[type, bool] = {}
_KNOWN_TYPES = 256


def is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def length(value: Any) -> int | None:
    """Rows of a value: the first axis of an array, the entries of a list or tuple; None for anything else."""
    if is_array(value):
        return int(value.shape[0]) if len(value.shape) else None
    return len(value) if type(value) in (list, tuple) else None


def take(value: Any, rows: Sequence[int] | None) -> Taken:
    """Freeze the given rows of a value, or with None the value as one.

    Raises
    ------
    TooLarge
        One row is larger than `MAX_PAYLOAD`.
    TypeError
        A tensor that stands for no data (of a trace, of a transformation).
    """
    if is_torch(value):
        return _take_tensor(value, rows)
    if is_array(value):
        return _take_array(value, rows)
    if rows is None:
        kept, size = freeze(value)
        return Taken(lambda: kept, False, size)
    taken = [_one(value[row]) for row in rows]
    return Taken(lambda: [row.at(0) for row in taken], True, sum(row.size for row in taken))


def _one(value: Any) -> Taken:
    return take(value, None)


def _take_array(value: Any, rows: Sequence[int] | None) -> Taken:
    numpy = sys.modules.get("numpy")
    size = _checked(getattr(value, "nbytes", 0) or 0, value.shape, rows)
    if numpy is None or not isinstance(value, numpy.ndarray):  # immutable: TensorFlow's and JAX's
        return Taken(lambda: _rows_of(_as_numpy(value), rows), rows is not None, size)
    kept = value.copy() if rows is None or len(rows) == len(value) else value[list(rows)]
    return Taken(lambda: kept, rows is not None, size)


def _take_tensor(value: Any, rows: Sequence[int] | None) -> Taken:
    torch = sys.modules["torch"]
    if type(value) not in (torch.Tensor, torch.nn.Parameter) or torch._C._functorch.is_functorch_wrapped_tensor(value):
        raise TypeError(f"a {type(value).__name__} holds no data of its own")
    size = _checked(value.numel() * value.element_size(), value.shape, rows)
    kept = value.detach()
    if not kept.is_cpu:
        return _take_from_device(kept, rows, size)
    whole = rows is None or len(rows) == len(kept)
    kept = kept.clone() if whole else kept.index_select(0, torch.tensor(rows, device="cpu"))
    return Taken(lambda: _as_numpy(kept), rows is not None, size)


def _take_from_device(value: Any, rows: Sequence[int] | None, size: int) -> Taken:
    """Copy to pinned memory in the order of the caller's stream; the worker waits until the copy is there."""
    torch = sys.modules["torch"]
    if value.is_meta:
        raise TypeError("a tensor on the meta device holds no data")
    kept = value.to("cpu", non_blocking=value.is_cuda, copy=True)
    event = None
    if value.is_cuda:
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(value.device))

    def read() -> Any:
        if event is not None:
            event.synchronize()
        return _rows_of(_as_numpy(kept), rows)

    return Taken(read, rows is not None, size)


def _checked(size: int, shape: Any, rows: Sequence[int] | None) -> int:
    """Bytes of the given rows; TooLarge when one of them is."""
    one = size if rows is None else size // max(1, int(shape[0]))
    if one > MAX_PAYLOAD:
        raise TooLarge
    return one if rows is None else one * len(rows)


def _rows_of(array: Any, rows: Sequence[int] | None) -> Any:
    return array if rows is None or len(rows) == len(array) else array[list(rows)]


def _as_numpy(value: Any) -> Any:
    """The numbers of a tensor; bfloat16 and float16 become float32, which holds them all."""
    if is_torch(value):
        torch = sys.modules["torch"]
        half = value.dtype in (torch.bfloat16, torch.float16)
        return (value.float() if half else value).numpy()
    import numpy

    array = numpy.asarray(value)
    return array if array.dtype.kind in "buif" else array.astype(numpy.float32)  # ml_dtypes' bfloat16


def pooled(value: Any, *, channels_last: bool = False) -> Any:
    """One vector a row from what a layer gives: (n, d) as it is; the mean over tokens of (n, tokens, d) and over space
    of (n, channels, height, width), or of (n, height, width, channels) with `channels_last`. Of a model's output, what
    it pooled itself, else its last hidden state.

    Returns
    -------
    tensor of shape (n, d) or (d,), or None
    """
    for name in ("pooler_output", "last_hidden_state"):
        found = getattr(value, name, None)
        if found is not None:
            value = found
            break
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if not is_array(value) or not len(value.shape):
        return None
    if is_torch(value):
        value = value.detach()
        if not value.is_floating_point():
            return None
    dims = len(value.shape)
    if dims <= 2:
        return value
    return value.mean(tuple(range(1, dims - 1)) if channels_last or dims == 3 else tuple(range(2, dims)))


def vector(array: Any) -> Any:
    """The one vector of something without rows: the mean over all axes but the last."""
    return array if array.ndim <= 1 else array.reshape(-1, array.shape[-1]).mean(axis=0)
