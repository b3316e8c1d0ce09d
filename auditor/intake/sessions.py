"""Sessions whose process is gone: calls that its counter page has and no tally declares are declared here.

The page counts the calls. The store has how many of them tallies declared, the archive which records are at
rest although no tally counts them (the process ended before its next one). The rest left no record: `process_ended`.
Everything follows from what is at rest; so a settlement that was cut short comes out the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from auditor.core.errors import AuditorError
from auditor.core.record import CaptureTally, ModelRef
from auditor.core.refusals import RefusedCall
from auditor.core.window import HOUR, Span, floor_to, from_us, parse_time, to_us
from auditor.intake.archive import ParquetArchive
from auditor.intake.contents import Refused
from auditor.intake.journal import link_or_copy
from auditor.ports import Damage, StateStore
from auditor.segments import SEEN, SeenCounts, adoptable, page_alive, read_seen
from auditor.settings import IntakeSettings

PROCESS_ENDED = "process_ended"
_TICK = timedelta(microseconds=1)
_PATHS = ("model.version", "source.session", "source.fork", "source.seq")


def refused_calls(refused: Iterable[Refused], times: Span, at: datetime) -> Iterator[RefusedCall]:
    """Refused records that name their model and time; one whose time lies outside `times` counts `at` its refusal."""
    for item in refused:
        try:
            model, source = item.frame["model"], item.frame.get("source") or {}
            moment = parse_time(item.frame["time"]) if isinstance(item.frame["time"], str) else item.frame["time"]
            yield RefusedCall(
                str(model["name"]),
                str(model.get("version") or ""),
                str(source.get("session", "")),
                int(source.get("fork", 0)),
                moment if moment in times else at,
                int(source.get("seq", -1)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, AuditorError):
            continue  # counted as refused, of nobody


def ended_sessions(spool: Path) -> Iterator[Path]:
    """Folders of sessions with a counter page, whose process is gone and whose segments are all taken in."""
    if not spool.is_dir():
        return
    for folder in sorted(spool.iterdir()):
        if (folder / SEEN).is_file() and not page_alive(folder) and not adoptable(folder):
            yield folder


def settle_session(
    folder: Path, archive: ParquetArchive, store: StateStore, quarantine: Path, intake: IntakeSettings
) -> list[Damage]:
    """Declare the calls that the session's page has beyond its tallies, and remove the page; a damaged one is kept aside."""
    damage: list[Damage] = []
    try:
        seen = read_seen(folder)
        if seen is not None and not seen.settled:
            model, tallies = _owed(seen, archive, store, intake)
            store.put_readings(f"seen-{folder.name}", [], tallies)
            store.mark_dirty(model, sorted({floor_to(tally.end - _TICK, HOUR) for tally in tallies}))
    except (ValueError, KeyError, TypeError) as error:
        link_or_copy(folder / SEEN, quarantine / f"{folder.name}.{SEEN}")
        damage = [Damage(f"a counter page is damaged ({error})", f"{folder.name}/{SEEN}", 0)]
    (folder / SEEN).unlink(missing_ok=True)
    return damage


def _owed(
    seen: SeenCounts, archive: ParquetArchive, store: StateStore, intake: IntakeSettings
) -> tuple[str, list[CaptureTally]]:
    """The model, and the tallies that the session did not live to write."""
    about: Mapping[str, Any] = seen.about
    name, session = str(about["model"]["name"]), str(about["session"])
    ref = ModelRef(name=name, version=str(about["model"].get("version", "")))
    last = from_us(seen.last_us)
    life = Span(from_us(seen.begin_us), from_us(max(seen.last_us, seen.begin_us) + 1)).widen(HOUR)
    now = datetime.now(UTC)
    times = intake.bounds(now)
    if last not in times or from_us(seen.begin_us) not in times:
        # Its clock was wrong: its tallies lie where they were taken in.
        life, last = times.widen(HOUR), now
    said = [tally for tally in store.readings(name, life)[1] if (tally.session, tally.fork) == (session, seen.fork)]
    missing = seen.total - sum(tally.seen for tally in said)
    if missing <= 0:
        return name, []
    delivered: Counter[tuple[datetime, str]] = Counter()
    for tally in said:
        delivered[floor_to(tally.end - _TICK, HOUR), tally.model.version] += tally.delivered
    found, last_seq = _at_rest(name, session, seen.fork, life, archive)
    last_seq = max([last_seq, seen.total - 1, *(tally.last_seq or 0 for tally in said)])

    def owed(version: str, begin: datetime, end: datetime, calls: int, dropped: Mapping[str, int]) -> CaptureTally:
        return CaptureTally(
            model=ModelRef(name=name, version=version),
            session=session,
            fork=seen.fork,
            start=begin,
            end=end,
            seen=calls,
            described=calls - sum(dropped.values()),
            delivered=calls - sum(dropped.values()),
            dropped=dropped,
            last_seq=last_seq,
        )

    tallies = []
    for (hour, version), (count, first_us, last_us) in sorted(found.items()):
        extra = min(count - delivered[hour, version], missing)
        if extra > 0:
            tallies.append(owed(version, from_us(first_us), from_us(last_us + 1), extra, {}))
            missing -= extra
    if missing:
        moment = last
        tallies.append(owed(ref.version, moment, moment + _TICK, missing, {PROCESS_ENDED: missing}))
    return name, tallies


def _at_rest(
    model: str, session: str, fork: int, life: Span, archive: ParquetArchive
) -> tuple[dict[tuple[datetime, str], tuple[int, int, int]], int]:
    """Number, first and last microsecond of the session's records by hour and version, and their highest number."""
    table = archive.scan(model, life, _PATHS)
    found: dict[tuple[datetime, str], tuple[int, int, int]] = {}
    last = -1
    if not set(_PATHS) <= set(table.column_names):
        return found, last
    own = table.filter((_field("source.session") == session) & (_field("source.fork") == fork))
    for version, seq, time in zip(
        own["model.version"].to_pylist(), own["source.seq"].to_pylist(), own["time"].to_pylist(), strict=True
    ):
        us = to_us(time)
        key = floor_to(time, HOUR), version or ""
        count, first_us, last_us = found.get(key, (0, us, us))
        found[key] = count + 1, min(first_us, us), max(last_us, us)
        last = max(last, int(seq if seq is not None else -1))
    return found, last


def _field(name: str) -> Any:
    import pyarrow.compute as pc

    return pc.field(name)
