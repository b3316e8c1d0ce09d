"""What every scenario shares: a fresh home, the replay of a baseline week and the days after it, each day's audit, the score.

Nothing here is special to the demo but the traffic: the agent, the pipeline and their verbs are those of production. The
agent describes every call and reads the replay's clock, because a replay packs a day into a second.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from auditor import Agent, wording
from auditor.bootstrap import App, init_home, open_app
from auditor.core.errors import ConfigurationError
from auditor.core.private import make_folder
from auditor.core.verdict import Alert
from auditor.core.window import DAY, Span
from auditor.demo import plants
from auditor.demo.replay import ReplayClock
from auditor.demo.score import Score, match, result
from auditor.ports import Damage
from auditor.settings import Home, load_settings

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday: first day of the baseline week."""
WEEK = 7
SETTINGS = """\
# The demo's home. The shipped packs judge it; no rule was written for the demo.

[policy]
packs = ["starter", "eu_ai_act"]

[energy]
country = "NLD"           # the grid that the joules are priced in

[sinks]
enabled = ["jsonl"]
"""


class Call(Protocol):
    """One call of the deployed model, with its truth; its payloads are between the scenario's traffic and its model."""

    @property
    def id(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def groups(self) -> dict[str, str | None]: ...
    @property
    def truth(self) -> str: ...


class Deployed(Protocol):
    """A model in production, and those who call it."""

    def version(self, incident: str) -> str:
        """The version deployed while that incident lasts (empty: none); another version is another agent."""

    def watch(self, agent: Agent, version: str) -> Callable[[Any], object]:
        """Answers one call through the watched model of that version."""

    def calls(self, start: datetime, number: int, seed: int, incident: str) -> Iterable[Call]:
        """One day's calls in the order of their times: a function of the arguments alone.

        `number` counts days from the baseline's first, `incident` is the id of the plant in effect.
        """


@dataclass(frozen=True, slots=True)
class Data:
    """What a scenario draws from.

    Attributes
    ----------
    name : str
        `built-in`, or the folder's name.
    said : str
        What was read or made: a progress line.
    source : object
        As the scenario's `deploy` takes it.
    damage : sequence of Damage
        What could not be read and is left out.
    """

    name: str
    said: str
    source: Any
    damage: Sequence[Damage] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A model, its data, and what befalls it.

    Attributes
    ----------
    model, profile : str
        The model's name, and its SystemProfile in YAML.
    deployed : str
        What is trained, for the progress line.
    plants : callable
        Name of the data -> the plants in the order of their days, written down before any replay.
    read : callable
        `--data` or None -> Data.
    deploy : callable
        Data -> the trained model with its callers.
    """

    model: str
    profile: str
    deployed: str
    plants: Callable[[str], Sequence[plants.Plant]]
    read: Callable[[Path | None], Data]
    deploy: Callable[[Data], Deployed]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the replay came to."""

    home: Home
    document: dict[str, Any]
    planned: Sequence[plants.Planned]
    score: Score


def run(
    scenario: Scenario,
    folder: Path,
    *,
    data: Path | None = None,
    days: int = 21,
    seed: int = 1,
    figures_only: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run the whole job in `folder`, which is made anew (only a home that a demo made is ever replaced).

    Parameters
    ----------
    data : Path, optional
        Folder of real recordings; the scenario's built-in data, when absent.
    days : int
        Days after the baseline week, at least 14.
    figures_only : bool
        Leave out MLflow, Evidently and reports, nothing else.
    tell : callable
        Told one line of progress at a time.
    """
    if days < 14:
        raise ConfigurationError(
            "too_few_days", f"{days} days are too few for the planted incidents", where="--days", fix="give 14 or more"
        )
    began = time.monotonic()
    home = _fresh(folder, scenario, seed)
    found = scenario.read(data)
    tell(found.said)
    damage = _quarantine(home, found.damage)
    for item in damage:
        tell(f"damaged: {item['where']}: {item['what']}; left out, noted in {home.quarantine}")
    deployed = scenario.deploy(found)
    tell(
        f"trained the {scenario.deployed} in {time.monotonic() - began:.1f} s; "
        f"baseline week, then {days} days of traffic"
    )

    settings = load_settings(home.root)
    planned = plants.plan(BEGIN + WEEK * DAY, days, scenario.plants(found.name))
    # One pass over a home: what a person would do with `baseline pin` and a nightly `audit`.
    with open_app(settings, figures_only=figures_only) as app:
        baseline = _replay(app, scenario.model, deployed, planned, days, seed, tell)
        alerts = app.store.alerts(scenario.model)
        score = match(planned, alerts, settings.audit.step)
        figures = _figures(app, scenario.model, days, time.monotonic() - began)
    document = result(
        seed=seed,
        days=days,
        data=found.name,
        model=scenario.model,
        baseline=baseline,
        planned=planned,
        alerts=alerts,
        score=score,
        figures=figures,
        damaged=damage,
    )
    target = home.root / "demo" / "result.json"
    make_folder(target.parent)
    target.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    return Outcome(home, document, planned, score)


def _fresh(folder: Path, scenario: Scenario, seed: int) -> Home:
    home = Home(folder.absolute())
    if home.root.exists() and any(home.root.iterdir()):
        if not (home.root / "demo").is_dir():
            raise ConfigurationError(
                "not_a_demo", f"{folder} holds something else than a demo", where=str(folder), fix="name another --home"
            )
        shutil.rmtree(home.root)
    home = init_home(home.root, settings=SETTINGS)
    make_folder(home.root / "demo")
    # Which repeated payloads are counted depends on the salt of their commitments: same seed, same result. Elsewhere the salt
    # is random and secret; here it has nothing to hide.
    salt = home.spool / ".salt"
    salt.write_bytes(hashlib.sha256(f"auditor demo {seed}".encode()).digest())
    salt.chmod(0o600)
    (home.policies / f"{scenario.model}.yaml").write_text(scenario.profile, encoding="utf-8")
    return home


def _quarantine(home: Home, damage: Sequence[Damage]) -> list[dict[str, Any]]:
    named = [{"what": item.what, "where": item.where, "lost": item.lost} for item in damage]
    if named:
        text = "".join(json.dumps(item) + "\n" for item in named)
        (home.quarantine / "demo-data.jsonl").write_text(text, encoding="utf-8")
    return named


def _replay(
    app: App,
    model: str,
    deployed: Deployed,
    planned: list[plants.Planned],
    days: int,
    seed: int,
    tell: Callable[[str], None],
) -> str:
    clock = ReplayClock(BEGIN)
    baseline = ""
    version = deployed.version("")
    agent = _agent(app.home, model, version, clock)
    answer = deployed.watch(agent, version)
    try:
        for number in range(WEEK + days):
            start = BEGIN + number * DAY
            incident = plants.active(planned, start) if number >= WEEK else ""
            if deployed.version(incident) != version:
                version = deployed.version(incident)
                agent.close()
                agent = _agent(app.home, model, version, clock)
                answer = deployed.watch(agent, version)
            for call in deployed.calls(start, number, seed, incident):
                clock.now = call.time
                with agent.context(id=call.id, groups=call.groups):
                    answer(call)
                agent.label(call.id, call.truth)
            clock.now = start + DAY - timedelta(seconds=1)
            agent.flush(timeout=30)
            if number == WEEK - 1:
                pinned = app.pipeline.pin(model, Span(BEGIN, BEGIN + WEEK * DAY), by="demo", at=clock.now)
                baseline = pinned.id
                tell(f"pinned the baseline week: {pinned.n} records")
            elif number >= WEEK:
                report = app.pipeline.audit(
                    now=start + DAY + timedelta(hours=3), model=model, since=start, until=start + DAY
                )
                changes = [audit.alerts for audit in report.audits]
                opened = [alert for change in changes for alert in change.opened]
                tell(
                    f"day {number - WEEK + 1:2d} {start:%Y-%m-%d}  {incident or 'quiet':27s} "
                    + "; ".join(f"[{alert.kind}] {_headline(alert)}" for alert in opened)
                )
    finally:
        agent.close()
    return baseline


def _agent(home: Home, model: str, version: str, clock: ReplayClock) -> Agent:
    agent = Agent(model, version=version, home=home.root, describe="all", clock=clock, energy="codecarbon")
    # The meter takes seconds to start, which is most of a replayed day.
    agent.flush(timeout=60)
    return agent


def _headline(alert: Alert) -> str:
    """What changed, without how sure and what next: those are in the reports."""
    return wording.brief(alert)


def _figures(app: App, model: str, days: int, seconds: float) -> dict[str, float | None]:
    span = Span(BEGIN + WEEK * DAY, BEGIN + (WEEK + days) * DAY)
    names = ("quality.accuracy", "energy.per_inference", "latency.p50", "capture.coverage")
    found: dict[str, float | None] = {"wall_s": round(seconds, 1)}
    for name in names:
        measured = [
            m for m in app.store.measurements(model, metric=name, span=span) if m.value is not None and not m.attributes
        ]
        found[f"{name}.first_day"] = measured[0].value if measured else None
        found[f"{name}.last_day"] = measured[-1].value if measured else None
    found["records"] = float(sum(run.records for run in app.store.runs(model, span)))
    return found
