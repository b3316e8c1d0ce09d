"""One window of one model: its state -> measurements -> verdicts, as an audit that is not committed yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from auditor.audit.judge import judge, needed_durations
from auditor.audit.measure import measure
from auditor.audit.monitoring import Before, follow
from auditor.audit.slices import Slice, judged_by_slice, outdated, slices_of
from auditor.audit.windows import Pinned, Windows
from auditor.core.artifact import Artifact, Rendering, sealed
from auditor.core.codec import state_digest
from auditor.core.frame import EDITION, Frame
from auditor.core.identity import digest
from auditor.core.measurement import Measurement
from auditor.core.private import make_folder, open_file
from auditor.core.run import Audit, AuditRun
from auditor.core.state import WindowState, empty_state
from auditor.core.verdict import Verdict
from auditor.core.window import Span, format_time
from auditor.policy.loader import PolicySet
from auditor.ports import Measurer, Monitor, Renderer, Store
from auditor.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Appraised:
    """An audit before its commit, with what its pictures and examples are made of."""

    audit: Audit
    window: WindowState
    baseline: Pinned | None
    frame: Frame


@dataclass(frozen=True, kw_only=True)
class Appraiser:
    """Measures and judges windows; writes nothing but states and bets, each of which can be repeated.

    Attributes
    ----------
    policies : PolicySet
        With what persons stated by command.
    """

    store: Store
    windows: Windows
    measurers: Mapping[str, Measurer]
    policies: PolicySet
    artifacts: Path
    settings: Settings
    versions: Mapping[str, str]

    def state(self, model: str, span: Span, pinned: Pinned | None) -> WindowState:
        """The window's state, all versions together, with its hours brought up to date."""
        frame = pinned[1] if pinned else Frame(model)
        self.windows.update(model, span, frame)
        return self.windows.state(model, span, frame)

    def appraise(
        self,
        model: str,
        span: Span,
        pinned: Pinned | None,
        last: AuditRun | None,
        previous: Sequence[Verdict],
        now: datetime,
    ) -> Appraised:
        """Measure and judge the window.

        Parameters
        ----------
        pinned : Pinned or None
            The model's baseline; a window that overlaps it is compared with none, and its figures say so.
        last : AuditRun or None
            The newest run of the same window.
        previous : sequence of Verdict
            The newest verdicts before it.
        """
        inside = pinned is not None and _overlap(pinned[0].span, span)
        baseline = self.windows.reference(pinned, span) if pinned and not inside else None
        frame = pinned[1] if pinned else Frame(model)
        revision = last.revision + 1 if last else 1
        run_id = digest([model, format_time(span.start), format_time(span.end), revision])[:32]
        measurements: list[Measurement] = []
        window = empty_state(model, span, frame.digest)
        for duration in sorted({span.duration, *needed_durations(self.policies)}):
            reach = Span(span.end - duration, span.end)
            self.windows.update(model, reach, frame)
            for version, state in self.windows.by_version(model, reach, frame):
                measurements += measure(
                    state,
                    baseline,
                    frame,
                    self.measurers,
                    span=reach,
                    run=run_id,
                    revision=revision,
                    recorded=now,
                    version=version,
                    embodied_g=self.settings.energy.embodied_g_per_request,
                    without="inside_baseline" if inside else "no_baseline",
                )
                if version is None and baseline is not None:
                    for part in slices_of(state, baseline):
                        measurements += measure(
                            part.window,
                            part.baseline,
                            frame,
                            judged_by_slice(self.measurers),
                            span=reach,
                            run=run_id,
                            revision=revision,
                            recorded=now,
                            attributes=part.attributes,
                        )
                if version is None and duration == span.duration:
                    window = state
        if baseline is not None:
            measurements += outdated(
                frame,
                self.settings.model(model).slices,
                window.n,
                model=model,
                version=None,
                span=span,
                revision=revision,
                run=run_id,
                baseline=baseline[0].id,
                recorded=now,
            )
        if pinned is not None and baseline is not None and frame.edition == EDITION:
            late = cache(partial(self.windows.late, model, span, frame))
            sequence = self.windows.archive.sequence(model, span)
            for part in (Slice("", window, pinned), *slices_of(window, pinned)):
                measurements += self._follow(part, span, last, run_id, revision, now, sequence, partial(part.of, late))
        verdicts = judge(
            self.policies,
            measurements,
            previous,
            model=model,
            span=span,
            now=now,
            run=run_id,
            revision=revision,
            served=tuple(self.store.versions(model, span)),
        )
        run = AuditRun(
            id=run_id,
            model=model,
            span=span,
            revision=revision,
            baseline=baseline[0].id if baseline else None,
            records=window.n,
            labelled=window.labelled,
            started=now,
            ended=now,
            versions=self.versions,
            policies={policy.name: policy.digest for policy in self.policies.policies},
            settings=self.settings.digest,
            states=state_digest(window),
        )
        audit = Audit(run=run, measurements=tuple(measurements), verdicts=tuple(verdicts))
        return Appraised(audit=audit, window=window, baseline=baseline, frame=frame)

    def recorded(self, last: AuditRun | None, fresh: Audit) -> Audit | None:
        """The audit in the store, where the fresh one differs from it in nothing but its revision; None otherwise."""
        if last is None or (last.states, last.baseline) != (fresh.run.states, fresh.run.baseline):
            return None
        measurements, verdicts = self.store.parts_of(last)
        if _plain(measurements) != _plain(fresh.measurements) or _told(verdicts) != _told(fresh.verdicts):
            return None
        return Audit(run=last, measurements=tuple(measurements), verdicts=tuple(verdicts))

    def drawn(self, made: Appraised) -> Audit:
        """The audit with its pictures, which lie in the artifacts' folder before it is committed."""
        return replace(made.audit, artifacts=tuple(self._render(made)))

    def _follow(
        self,
        part: Slice,
        span: Span,
        last: AuditRun | None,
        run: str,
        revision: int,
        now: datetime,
        sequence: int,
        late: Callable[[int], WindowState],
    ) -> Iterator[Measurement]:
        """The monitors' figures, their bets kept before the audit is: a run that was cut short bets nothing twice."""
        window, baseline = part.window, part.baseline
        for name, plugin in self.measurers.items():
            if not isinstance(plugin, Monitor):
                continue
            before = None
            if last is not None:
                kept = self.store.measurements(window.model, metric=plugin.metrics[0].name, span=span)
                own = [m for m in kept if m.span == span and m.method.name == name and part.holds(m.attributes)]
                before = Before(own, last.records)
            key = f"{name}@{part.name}" if part.name else name
            known = self.store.monitor(key, window.model, baseline[0].id)
            state, found = follow(
                name,
                plugin,
                known,
                window,
                baseline,
                span=span,
                before=before,
                run=run,
                revision=revision,
                recorded=now,
                attributes=part.attributes,
                sequence=sequence,
                late=late,
            )
            if state is not known:
                self.store.put_monitor(key, state)
            yield from found

    def _render(self, made: Appraised) -> Iterator[Artifact]:
        if made.baseline is None or made.window.n == 0:
            return
        for measurer in self.measurers.values():
            if isinstance(measurer, Renderer):
                drawn = measurer.render(made.window, made.baseline[2], made.frame)
                if drawn is not None:
                    yield self._keep(drawn, made.audit.run)

    def _keep(self, drawn: Rendering, run: AuditRun) -> Artifact:
        if drawn.extension == "html":
            drawn = replace(drawn, data=sealed(drawn.data))
        artifact = Artifact(
            sha256=drawn.sha256,
            extension=drawn.extension,
            title=drawn.title,
            made_by=drawn.made_by,
            model=run.model,
            start=run.span.start,
            end=run.span.end,
            run=run.id,
            size=len(drawn.data),
        )
        make_folder(self.artifacts)
        path = self.artifacts / artifact.filename
        if not path.exists():
            partial_file = path.with_suffix(".part")
            with open_file(partial_file, "wb") as file:
                file.write(drawn.data)
            partial_file.replace(path)
        return artifact


def _overlap(a: Span, b: Span) -> bool:
    return a.start < b.end and b.start < a.end


def _plain(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Measurements without what follows from the run they came with."""
    plain = [replace(m, id="", run="", revision=0, recorded=m.end) for m in measurements]
    return sorted(plain, key=lambda m: (m.series, m.method.name, m.start, m.version or ""))


def _told(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts without what follows from the run and its moment."""
    plain = [replace(v, id="", run="", revision=0, judged=v.end, evidence=(), explanation="") for v in verdicts]
    return sorted(plain, key=lambda v: tuple(part or "" for part in v.key))
