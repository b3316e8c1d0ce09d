"""The digits scenario: make a home, deploy the reader, replay a baseline week and the days after it, audit each day.

Nothing here is special to the demo but the traffic: the agent, the pipeline and their verbs are those of production. The
agent describes every call and reads the replay's clock, because a replay packs a day into a second.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from auditor import Agent
from auditor.bootstrap import App, init_home, open_app
from auditor.core.errors import ConfigurationError
from auditor.core.window import DAY, Span
from auditor.demo import plants, reader, sources
from auditor.demo.replay import ReplayClock, day_of_calls
from auditor.demo.score import Score, match, result
from auditor.ports import Damage
from auditor.settings import Home, load_settings

MODEL = "digit-reader"
VERSION, HEAVIER = "1.4.0", "2.0.0"
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
PROFILE = """\
apiVersion: auditor/v1
kind: SystemProfile
metadata: {name: digit-reader}
spec:
  models: [digit-reader]
  roles: [provider, deployer]
  route: annex_iii
  modalities: [image, audio, text]
  placedOnMarket: 2026-03-02
  modelVersion: 1.4.0
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the replay came to."""

    home: Home
    document: dict[str, Any]
    planned: Sequence[plants.Planned]
    score: Score


def run(
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
        Folder of real recordings; the built-in digits and synthesised tones, when absent.
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
    home = _fresh(folder)
    source = sources.recordings(data) if data else sources.built_in()
    audio = "real recordings" if data else "synthesised tones"
    tell(f"read {len(source.pool.images)} real handwritten digits and {len(source.pool.clips)} clips ({audio})")
    damage = _quarantine(home, source.damage)
    for item in damage:
        tell(f"damaged: {item['where']}: {item['what']}; left out, noted in {home.quarantine}")
    model = reader.train(source.train)
    tell(
        f"trained the late-fusion reader in {time.monotonic() - began:.1f} s; baseline week, then {days} days of traffic"
    )

    settings = load_settings(home.root)
    planned = plants.plan(BEGIN + WEEK * DAY, days)
    # One pass over a home: what a person would do with `baseline pin` and a nightly `audit`.
    with open_app(settings, figures_only=figures_only) as app:
        baseline = _replay(app, source, model, planned, days, seed, tell)
        alerts = app.store.alerts(MODEL)
        score = match(planned, alerts, settings.audit.step)
        figures = _figures(app, days, time.monotonic() - began)
    document = result(
        seed=seed,
        days=days,
        data=source.name,
        model=MODEL,
        baseline=baseline,
        planned=planned,
        alerts=alerts,
        score=score,
        figures=figures,
        damaged=damage,
    )
    target = home.root / "demo" / "result.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    return Outcome(home, document, planned, score)


def _fresh(folder: Path) -> Home:
    home = Home(folder.absolute())
    if home.root.exists() and any(home.root.iterdir()):
        if not (home.root / "demo").is_dir():
            raise ConfigurationError(
                "not_a_demo", f"{folder} holds something else than a demo", where=str(folder), fix="name another --home"
            )
        shutil.rmtree(home.root)
    home = init_home(home.root, settings=SETTINGS)
    (home.root / "demo").mkdir()
    (home.policies / "digit-reader.yaml").write_text(PROFILE, encoding="utf-8")
    return home


def _quarantine(home: Home, damage: Sequence[Damage]) -> list[dict[str, Any]]:
    named = [{"what": item.what, "where": item.where, "lost": item.lost} for item in damage]
    if named:
        text = "".join(json.dumps(item) + "\n" for item in named)
        (home.quarantine / "demo-data.jsonl").write_text(text, encoding="utf-8")
    return named


def _replay(
    app: App,
    source: sources.Source,
    model: reader.DigitReader,
    planned: list[plants.Planned],
    days: int,
    seed: int,
    tell: Callable[[str], None],
) -> str:
    clock = ReplayClock(BEGIN)
    baseline = ""
    version = VERSION
    agent = _agent(app.home, version, clock)
    watched = _watch(agent, model)
    try:
        for number in range(WEEK + days):
            start = BEGIN + number * DAY
            incident = plants.active(planned, start) if number >= WEEK else ""
            if incident == "heavier-version" and version != HEAVIER:
                version = HEAVIER
                agent.close()
                agent = _agent(app.home, version, clock)
                watched = _watch(agent, model.heavier(plants.HEAVIER))
            for call in day_of_calls(source, start, number, seed, incident):
                clock.now = call.time
                with agent.context(id=call.id, groups=call.groups):
                    watched(call.photo, call.clip, call.hint)
                agent.label(call.id, call.truth)
            clock.now = start + DAY - timedelta(seconds=1)
            agent.flush(timeout=30)
            if number == WEEK - 1:
                pinned = app.pipeline.pin(MODEL, Span(BEGIN, BEGIN + WEEK * DAY), by="demo", at=clock.now)
                baseline = pinned.id
                tell(f"pinned the baseline week: {pinned.n} records")
            elif number >= WEEK:
                report = app.pipeline.audit(
                    now=start + DAY + timedelta(hours=3), model=MODEL, since=start, until=start + DAY
                )
                changes = [audit.alerts for audit in report.audits]
                opened = [alert for change in changes for alert in change.opened]
                tell(
                    f"day {number - WEEK + 1:2d} {start:%Y-%m-%d}  {incident or 'quiet':27s} "
                    + "; ".join(f"[{a.kind}] {a.explanation}" for a in opened)
                )
    finally:
        agent.close()
    return baseline


def _agent(home: Home, version: str, clock: ReplayClock) -> Agent:
    return Agent(MODEL, version=version, home=home.root, describe="all", clock=clock, energy="codecarbon")


def _watch(agent: Agent, model: reader.DigitReader) -> Callable[..., reader.Answer]:
    inputs = {"photo": "image", "clip": {"modality": "audio", "rate": sources.RATE}, "hint": "text"}

    def heads(answer: reader.Answer) -> dict[str, Any]:
        return {
            "label": answer.label,
            "scores": answer.scores,
            "inputs": {name: {"scores": scores} for name, scores in answer.heads.items()},
        }

    watched: Callable[..., reader.Answer] = agent.watch(inputs=inputs, extract=heads)(model.read)
    return watched


def _figures(app: App, days: int, seconds: float) -> dict[str, float | None]:
    span = Span(BEGIN + WEEK * DAY, BEGIN + (WEEK + days) * DAY)
    names = ("quality.accuracy", "energy.per_inference", "latency.p50", "capture.coverage")
    found: dict[str, float | None] = {"wall_s": round(seconds, 1)}
    for name in names:
        measured = [
            m for m in app.store.measurements(MODEL, metric=name, span=span) if m.value is not None and not m.attributes
        ]
        found[f"{name}.first_day"] = measured[0].value if measured else None
        found[f"{name}.last_day"] = measured[-1].value if measured else None
    found["records"] = float(sum(run.records for run in app.store.runs(MODEL, span)))
    return found
