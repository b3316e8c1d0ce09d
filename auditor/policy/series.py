"""Series of a PolicyTest: evidence step by step, as text.

A series is written `value@n`, with `xK` to repeat it K more times and `_` for a step without evidence:

    0.030@4000 0.070@4000x4 _x3      a value and its n; four repeats; four silent steps
    0.3@400~1e-9                     with a p-value (`significance: e-value`: what bets have won is its inverse)
    0.03[0.01;0.05]@400              with an interval (else a Wilson interval where the condition asks for one)
    nan@400  ?unlabelled@0  error    not a number; absent for a reason; the figure could not be computed
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from auditor.core.errors import PolicyError

MOST_STEPS = 10_000
_VALUE = re.compile(
    r"(?P<value>[-+]?[0-9.]+(?:[eE][-+]?\d+)?|nan)(?:\[(?P<low>[^;\]]+);(?P<high>[^\]]+)\])?@(?P<n>\d{1,12})(?:~(?P<p>[^x]+))?"
)
_ABSENT = re.compile(r"\?(?P<reason>[a-z_]+)(?:@(?P<n>\d+))?")


@dataclass(frozen=True, slots=True)
class Step:
    """What one series says in one step; None as a whole is silence."""

    value: float | None
    n: int
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    reason: str = ""
    error: bool = False


def parse_series(text: str, where: str) -> list[Step | None]:
    """The steps of a series; PolicyError `bad_series` names the part that cannot be read.

    >>> [step and step.value for step in parse_series("0.1@40 _ 0.2@40x1", "here")]
    [0.1, None, 0.2, 0.2]
    """
    steps: list[Step | None] = []
    for token in text.split():
        body, _, times = token.rpartition("x") if re.search(r"x\d+$", token) else (token, "", "0")
        if len(times) > 5 or len(steps) + int(times) >= MOST_STEPS:
            raise PolicyError(
                "bad_series", f"{token!r} makes too many steps", where=where, fix=f"write at most {MOST_STEPS}"
            )
        steps += [_step(body, token, where)] * (1 + int(times))
    if not steps:
        raise PolicyError("bad_series", "the series is empty", where=where, fix="write value@n for each step")
    return steps


def _step(body: str, token: str, where: str) -> Step | None:
    if body == "_":
        return None
    if body == "error":
        return Step(None, 0, reason="plugin_failed", error=True)
    if absent := _ABSENT.fullmatch(body):
        return Step(None, int(absent["n"] or 0), reason=absent["reason"])
    found = _VALUE.fullmatch(body)
    try:
        if found is None:
            raise ValueError(body)
        n = int(found["n"])
        if found["value"] == "nan":
            return Step(None, n, reason="not_a_number")
        interval = (float(found["low"]), float(found["high"])) if found["low"] else None
        step = Step(float(found["value"]), n, float(found["p"]) if found["p"] else None, interval)
        if not math.isfinite(step.value or 0.0) or (step.p_value is not None and not 0 <= step.p_value <= 1):
            raise ValueError(body)
        return step
    except ValueError as error:
        raise PolicyError(
            "bad_series",
            f"{token!r} is not a step",
            where=where,
            fix="write value@n, value@n~p, value[low;high]@n or _",
        ) from error
