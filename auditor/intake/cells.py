"""Cells of a table: what a number, a text, a vector or a time looks like in a deployment's own table."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Union, get_args, get_origin

from auditor.core import record as core
from auditor.core import values
from auditor.core.errors import AuditorError, RecordError
from auditor.core.window import EPOCH, parse_time
from auditor.intake.dotted import bare, locate

FORMATS = ("iso8601", "unix_s", "unix_ms")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Cells:
    """How a table spells its values.

    Attributes
    ----------
    missing : sequence of str
        Texts that stand for no value.
    decimal : str
        `.` or `,`.
    """

    missing: Sequence[str] = values.MISSING
    decimal: str = "."

    def blank(self, value: Any) -> bool:
        """Whether a cell holds no value."""
        return values.blank(value, self.missing)

    def text(self, value: Any) -> str | None:
        """A cell as a text."""
        return values.text(value, self.missing)

    def class_name(self, value: Any) -> str | None:
        """A cell as a class."""
        return values.class_name(value, self.missing)

    def figure(self, value: Any) -> float | str | None:
        """A cell as a descriptor: a number where it reads as one, else a text."""
        return values.figure(value, self.missing, self.decimal)

    def numeric(self, value: Any) -> float | str | None:
        """A cell of a numeric column: its number whatever its zeros; a text that is no number stays one."""
        if isinstance(value, str) and not self.blank(value):
            read = values.number(value, self.decimal)
            if read is not None and math.isfinite(read):
                return read
        return self.figure(value)

    def number(self, value: Any, where: str) -> float | None:
        """A cell as a number; None when it is blank, RecordError `not_a_number` when it is something else."""
        if self.blank(value):
            return None
        found = values.number(value, self.decimal) if isinstance(value, str) else None
        if not isinstance(value, (str, bool, date)):
            try:
                found = float(value)
            except (ValueError, OverflowError, TypeError):
                found = None
        if found is None:
            raise RecordError(
                "not_a_number",
                f"{str(value)[:80]!r} is not a number",
                where=where,
                fix="correct the cell or the mapping",
            )
        return None if found != found else found

    def vector(self, value: Any, where: str) -> list[float] | None:
        """A cell as a vector: a list, or a text that holds one as JSON or as numbers between spaces, commas, semicolons."""
        if self.blank(value):
            return None
        if isinstance(value, str):
            text = value.strip()
            comma = " " if self.decimal != "," else ","
            try:
                value = json.loads(text) if text.startswith("[") else text.replace(",", comma).replace(";", " ").split()
            except (ValueError, RecursionError) as error:
                raise RecordError("bad_vector", "the cell does not hold a vector", where=where) from error
        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            raise RecordError("bad_vector", "the cell does not hold a vector", where=where)
        numbers = [self.number(entry, where) for entry in value]
        if any(entry is None for entry in numbers):
            raise RecordError("bad_vector", "a number of the vector is missing", where=where)
        return [entry for entry in numbers if entry is not None]

    def truth(self, value: Any, where: str = "output.refused") -> bool | None:
        """A cell as true or false (`yes`, `no`, 1 and 0 as well)."""
        if self.blank(value):
            return None
        word = str(self.text(value)).lower()
        if word not in _TRUTH:
            raise RecordError("bad_type", f"{str(value)[:80]!r} is neither true nor false", where=where)
        return _TRUTH[word]

    def reader(self, path: str) -> tuple[Callable[[Any], Any], bool]:
        """What reads the cells of a column called like a field of a record, and whether it leaves finite floats alone."""
        hint = locate(path)[1]
        kind = bare(hint)
        if kind is float:
            return lambda cell: self.number(cell, path), True
        if kind is int:
            return lambda cell: self._whole(cell, path), False
        if kind is bool:
            return lambda cell: self.truth(cell, path), False
        if get_origin(kind) is tuple and bare(get_args(kind)[0]) is float:
            return lambda cell: None if isinstance(cell, list) and None in cell else self.vector(cell, path), False
        if kind is str:
            return (self.class_name if core.ClassName in get_args(hint) else self.text), False
        if get_origin(kind) in (Union, types.UnionType):
            return self.figure, True
        return lambda cell: cell if isinstance(cell, (datetime, dict, list)) else self.text(cell), False

    def _whole(self, value: Any, where: str) -> float | None:
        found = self.number(value, where)
        return int(found) if found is not None and found.is_integer() else found

    def moment(self, value: Any, form: str, zone: tzinfo, where: str) -> datetime:
        """A cell as a time in UTC; one without an offset is in `zone`."""
        try:
            if form != "iso8601":
                amount = self.number(value, where)
                if amount is None:
                    raise ValueError("there is no time")
                # Whole milliseconds stay exact: a float of seconds would not.
                return EPOCH + (timedelta(milliseconds=amount) if form == "unix_ms" else timedelta(seconds=amount))
            found = value if isinstance(value, datetime) else None
            if found is None:
                text = str(value).strip()
                if len(text) == 10 and zone is UTC:
                    return parse_time(text)
                found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
        except AuditorError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise RecordError(
                "bad_time",
                f"{str(value)[:80]!r} is not a time in {form}",
                where=where,
                fix="correct the cell, the format or the zone",
            ) from error
