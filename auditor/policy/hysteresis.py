"""The state machine of a control x slice x input: ok -> pending -> firing -> recovering -> ok.

Its whole memory is the previous verdict. Unknown evidence never moves it toward ok, and never makes it fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from auditor.core.verdict import State
from auditor.policy.decision import Truth


@dataclass(frozen=True, slots=True)
class Standing:
    """A state and the end of the window since which it counts."""

    state: State
    since: datetime


def step(
    before: Standing | None,
    truth: Truth,
    cleared: bool,
    at: datetime,
    *,
    for_: timedelta = timedelta(0),
    clear_for: timedelta = timedelta(0),
) -> Standing:
    """The next state.

    Parameters
    ----------
    truth : Truth
        What this window's evidence says; unknown and error leave the state where it is.
    cleared : bool
        Whether the figure also satisfies `clear.value`: only then does a firing control begin to recover.
    at : datetime
        End of the window.
    for_, clear_for : timedelta
        How long a breach must last before it fires, and health before it is believed.
    """
    now = before or Standing(State.OK, at)
    if truth in (Truth.UNKNOWN, Truth.ERROR):
        # Recovery must be seen, not waited for: silence restarts its clock.
        return Standing(State.RECOVERING, at) if now.state is State.RECOVERING else now
    if truth is Truth.FALSE:
        if now.state in (State.FIRING, State.RECOVERING):
            return now if now.state is State.FIRING else Standing(State.FIRING, at)
        began = now.since if now.state is State.PENDING else at
        return Standing(State.FIRING, at) if at - began >= for_ else Standing(State.PENDING, began)
    if now.state is State.OK:
        return now
    if now.state is State.PENDING:
        return Standing(State.OK, at)
    if not cleared:
        return now if now.state is State.FIRING else Standing(State.FIRING, at)
    began = now.since if now.state is State.RECOVERING else at
    return Standing(State.OK, at) if at - began >= clear_for else Standing(State.RECOVERING, began)
