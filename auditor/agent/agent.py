"""`auditor.Agent`: the public face of the capture room."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from auditor.agent import lifecycle
from auditor.agent.accounts import Accounts
from auditor.agent.call import CallContext
from auditor.agent.destination import resolve
from auditor.agent.encoding import check_encoders, open_encoders
from auditor.agent.ids import new_id
from auditor.agent.inference import Inert, Inference
from auditor.agent.pending import Pending
from auditor.agent.recorder import Recorder
from auditor.agent.shield import Faults, nothing, sheltered, shield
from auditor.agent.site import Site
from auditor.agent.validity import check_of
from auditor.agent.worker import Parts, Request, Worker
from auditor.core.errors import AuditorError, ConfigurationError
from auditor.core.gate import over_limit
from auditor.core.record import ModelRef
from auditor.core.window import to_us
from auditor.segments.seen import SeenPage

if TYPE_CHECKING:
    from auditor.agent.sender import Sender

log = logging.getLogger("auditor")


def _adapters() -> Any:
    """The room above this one, asked for by name when something is watched: adapters build on the agent's sites."""
    return importlib.import_module("auditor.adapters")


class Agent:
    """Watches one model in its own process; see the how-to pages `watch-*`.

    Making an agent may fail loudly (ConfigurationError: wrong arguments). From then on nothing it does raises an
    Exception into the host, blocks it beyond the timeouts given, or outlives it.

    Parameters
    ----------
    name, version : str
        The model's, as reports and policies will call it.
    home : path, optional
        Records go to the spool of this home, which need not be initialised.
    endpoint, key : str, optional
        Records go to `auditor serve` at this address, with this bearer key.
        With neither: AUDITOR_HOME, or AUDITOR_ENDPOINT and AUDITOR_KEY (and AUDITOR_OUTBOX), or the nearest `auditor.toml`; else calls are
        counted and dropped (`no_destination`), which is said once.
    describe : str
        `budget`: as many calls as `[agent] cpu_share` of one core allows, chosen by a hash of their ids. `all`: every
        call, waiting for the worker when the queue is full: for replay, batch and tests.
    clock : callable, optional
        Returns an aware datetime: the time of records, tallies and energy readings. Default: real UTC.
    energy : str or Meter, optional
        A meter beside the model: the name of an `energy` plugin (`codecarbon`), or an object with `ports.Meter`'s
        methods. Read at each flush and every minute.
    transport : Transport, optional
        Takes the frames instead of home and endpoint.
    outbox : path, optional
        With an endpoint: records wait in this folder, at most `[agent] spool_bytes` of them, and are sent in order when the
        service can be reached, by this process or a later one. Delivered then means durable in the folder; without it, taken
        by the service.
    encoder : str, optional
        What makes the model's embeddings; another encoder is never compared silently.
    redact : callable, optional
        `redact(name, modality, value) -> value`, before anything is computed from a payload; None withholds it.
    encoders : mapping, optional
        By input, what makes the embeddings that the model does not: `onnx:FILE`, `transformers:NAME_OR_FOLDER`, or an object with
        `version` and `encode(value)`. Runs in the agent's thread, within its budget. The model's own embedding goes before.
    answers : str or callable, optional
        What a text answer has to be: `json`, or `answers(text) -> bool`. Kept as its column `valid`.
    """

    _accounts: Accounts
    _notes: dict[str, int]
    _folders: dict[str, Path | None]
    _pending: Pending | None
    _sender: Sender | None

    def __init__(
        self,
        name: str,
        version: str = "",
        home: str | os.PathLike[str] | None = None,
        endpoint: str | None = None,
        key: str | None = None,
        describe: str = "budget",
        clock: Callable[[], datetime] | None = None,
        *,
        energy: Any = None,
        transport: Any = None,
        outbox: str | os.PathLike[str] | None = None,
        encoder: str | None = None,
        redact: Callable[[str, str | None, Any], Any] | None = None,
        encoders: Mapping[str, Any] | None = None,
        answers: str | Callable[[str], Any] | None = None,
    ) -> None:
        if not isinstance(name, str) or not 1 <= len(name) <= 200:
            raise ConfigurationError("bad_model_name", f"{name!r} is not a model name", fix="give 1 to 200 characters")
        refused = over_limit(ModelRef, {"version": str(version), "encoder": encoder})
        if refused is not None:
            raise ConfigurationError(refused.code, refused.message, where=refused.where, fix=refused.fix)
        if describe not in ("budget", "all"):
            raise ConfigurationError(
                "bad_describe", f"{describe!r} is not a way to describe", where="describe", fix="budget or all"
            )
        self._destination = resolve(home, endpoint, key, transport, outbox)
        settings = self._destination.settings
        self._energy = energy
        self._redact = redact
        self._encoders = check_encoders(encoders)
        self._check = check_of(answers)
        self._budget_share = None if describe == "all" else settings.agent.cpu_share
        self._recorder = Recorder(
            ModelRef(name=name, version=str(version), encoder=encoder),
            clock=clock,
            block_when_full=describe == "all",
            limit=settings.agent.queue_records,
            limit_bytes=settings.agent.queue_bytes,
            metered=energy is not None,
            has_destination=self._destination.kind != "none",
        )
        self._begin_books()
        self._recorder.make_worker = self._make_worker
        self._recorder.open_page = self._open_page
        self._recorder.flush = self.flush
        self._plain = Site(self._recorder)
        self._closed = False
        lifecycle.register(self)
        if not self._recorder.has_destination:
            log.warning(
                "auditor: agent %r has no destination: calls are counted and dropped (no_destination); "
                "give home= or endpoint=, or set AUDITOR_HOME or AUDITOR_ENDPOINT",
                name,
            )
        if energy is not None:
            self._recorder.start()  # a meter counts from its own start: before the first call, not after

    # -- watching -----------------------------------------------------------------------------------------------------

    def site(self, **options: Any) -> Site:
        """What adapters that are made by the host (`asgi.Watch`) watch with; options as in `watch`, adapters' own in `options`."""
        return Site(self._recorder, **options)

    def watch(
        self,
        model: Any = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        output: str | None = None,
        version: str | None = None,
        encoder: str | None = None,
        scores: Any = None,
        groups: Any = None,
        extract: Callable[[Any], Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> Any:
        """The model, watched; as `@agent.watch` or `@agent.watch(...)` also a decorator.

        The returned object passes for the original (`isinstance`, attributes, results, exceptions); the original is
        not changed.

        Parameters
        ----------
        inputs : mapping, optional
            Argument to modality, or to `{"modality", "rate", "encoder", "shape"}`; absent: every argument, with the
            modality its type tells. `rate` is in Hz, or the name of the argument that carries it.
        output : str, optional
            What the result is: `label`, `value` or `text`. Absent: str is text, int a label, float a value, and a
            mapping is read by these keys.
        scores : str or callable, optional
            Key or attribute of the result, or `scores(result)`.
        groups : mapping or callable, optional
            Slices of every call, or `groups(*args, **kwargs)`.
        extract : callable, optional
            `extract(result)` returns any of label, value, text, scores, tokens, finish, refused, and
            `inputs={name: {"scores":, "embedding":, "encoder":}}`; called for chosen calls, on the caller's thread.
        version, encoder : str, optional
            When they differ from the agent's.
        **options
            What only some kinds of models have, such as `branches` of neural networks: see their how-to pages.

        Raises
        ------
        ConfigurationError
            Options that name what does not exist, or a model that cannot be called.
        """

        def watched(target: Any) -> Any:
            site = self.site(
                inputs=inputs,
                output=output,
                version=version,
                encoder=encoder,
                scores=scores,
                groups=groups,
                extract=extract,
                options=options,
            )
            try:
                return _adapters().watch(target, site)
            except AuditorError:
                raise
            except Exception as error:
                self._recorder.faults.note("watch_failed", error)
                return target

        return watched if model is None else watched(model)

    @sheltered("unwatch_failed", lambda self, watched: watched)
    def unwatch(self, watched: Any) -> Any:
        """The original; calls of the watched form are no longer recorded."""
        return _adapters().unwatch(watched, self._recorder)

    @sheltered("begin_failed", lambda self, id=None: Inert(self._plain, id if type(id) is str else new_id(0)))
    def inference(self, id: str | None = None) -> Inference:
        """`with agent.inference() as record:` - one inference, told by the host itself.

        Parameters
        ----------
        id : str, optional
            The host's own id, 1 to 64 characters; default a UUID of version 7.
        """
        said = id if id is not None else new_id(self._recorder.now_us() // 1000)
        return Inference(self._plain, str(said)[:64])

    @sheltered("context_failed", lambda self, *args, **kwargs: contextlib.nullcontext())
    def context(
        self, groups: Mapping[str, Any] | None = None, subject: str | None = None, id: Any = None
    ) -> AbstractContextManager[Any]:
        """`with agent.context(groups={"site": "north"}, id="42"):` - what the watched calls inside belong to.

        Parameters
        ----------
        groups : mapping, optional
            Slices; None is the slice `unknown`. For a batch of n rows a value may be a sequence of n.
        subject : str, optional
            Opaque.
        id : str, optional
            Of the first watched call inside; for a batch of n rows, n ids in a list.
        """
        return CallContext(groups, subject, id, self.faults)

    @sheltered("label_failed", nothing)
    def label(self, id: str, label: Any = None, *, value: Any = None, time: datetime | None = None) -> None:
        """Ground truth for one record, whenever it arrives; a later one for the same id is a correction.

        Parameters
        ----------
        id : str
        label : str, int, bool or float
            A class; a float is taken for a `value`.
        value : float
            Of a regression.
        time : datetime, optional
            When the truth became known; default now.
        """
        recorder = self._recorder
        if not recorder.live:
            return
        if value is None and _is_float(label):
            label, value = None, label
        us = recorder.now_us() if time is None else to_us(time)
        if len(recorder.labels) >= recorder.limit and not recorder.block_when_full:
            recorder.notes.append("label_queue_full")
            return
        recorder.labels.append((str(id), label, None if value is None else float(value), us))
        if recorder.worker is None:
            recorder.start()

    # -- the end of things --------------------------------------------------------------------------------------------

    @sheltered("flush_failed", lambda self, timeout=2.0: False)
    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until everything handed over so far is delivered, and may be taken in; whether that was reached.

        Parameters
        ----------
        timeout : float
            Seconds. What is not delivered by then stays in line.
        """
        return self._ask(Request(time.monotonic() + timeout), timeout)

    @sheltered("close_failed", lambda self, timeout=2.0: False)
    def close(self, timeout: float = 2.0) -> bool:
        """Flush, say that the session is over and let go; the watched model works on, unseen."""
        return self._close(timeout, reason="closed")

    @property
    def faults(self) -> Faults:
        """Errors of the agent itself."""
        return self._recorder.faults

    @sheltered("stats_failed", lambda self: {})
    def stats(self) -> dict[str, Any]:
        """What became of every call; exact once `flush` or `close` has returned True.

        Returns
        -------
        dict
            `seen == delivered + queued + sum(dropped.values())`; `described`; `labels` by what became of them;
            `outbox`, with an endpoint: frames that were `sent`, `refused`, `damaged`, and `waiting_bytes`;
            `notes` (worth knowing, no loss); `internal_errors` and `delays` by reason.
        """
        recorder, accounts, worker = self._recorder, self._accounts, self._recorder.worker
        queued = sum(call.rows for call in tuple(recorder.queue)) + len(recorder.skipped) + recorder.worker_starved
        queued += sum(entry.rows for entry in tuple(recorder.lost)) + recorder.agent_errors
        pending, sender = self._pending, self._sender
        unwritten = (0 if pending is None else pending.records) + (0 if worker is None else worker.in_hand)
        delivered, dropped, unsent = accounts.delivered, Counter(accounts.dropped), 0
        dropped["closed"] += recorder.after_close
        if sender is not None and sender.private is not None:  # what is written and not sent ends with the agent
            unsent = delivered - sender.records
            delivered = sender.records - sender.refused
            dropped["refused"] += sender.refused
            if sender.over:
                dropped["transport_failed"] += unsent
                unsent = 0
        return {
            **({} if sender is None else {"outbox": sender.state()}),
            "seen": accounts.taken + queued + recorder.after_close,
            "described": accounts.described,
            "delivered": delivered,
            "queued": queued + unwritten + unsent,
            "dropped": dict(+dropped),
            "labels": {"queued": len(recorder.labels), **({} if pending is None else pending.labels)},
            "rate": recorder.rate,
            "notes": dict(self._notes),
            "internal_errors": dict(recorder.faults.counts),
            "delays": dict(recorder.faults.delays),
        }

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_worker(self, recorder: Recorder) -> Worker:
        lifecycle.watch_child_exit()
        return Worker(recorder, self._accounts, self._notes, self._load)

    def _open_page(self, recorder: Recorder, us: int) -> SeenPage | None:
        """The counter page of this session, beside its segments; None where there can be none, which is noted."""
        folder = self._session_folder(recorder)
        if folder is None:
            return None
        try:
            return SeenPage(folder, recorder.about, recorder.fork, us)
        except Exception:
            recorder.notes.append("no_counter_page")
            return None

    def _session_folder(self, recorder: Recorder) -> Path | None:
        """The session's folder; in an outbox its name is chosen once, by the calling thread or the worker."""
        return self._folders.setdefault(recorder.session, self._destination.folder(recorder.session))

    def _load(self, recorder: Recorder, accounts: Accounts) -> Parts:
        with lifecycle.loading():
            return self._assemble(recorder, accounts)

    def _assemble(self, recorder: Recorder, accounts: Accounts) -> Parts:
        """In the worker's thread: open files, load libraries."""
        from auditor.agent.budget import Budget
        from auditor.agent.building import Builder, Describers
        from auditor.agent.metering import Metering, meter_factory

        destination = self._destination
        if self._pending is None:
            transport, self._sender = destination.connect(recorder, self._session_folder(recorder))
            self._pending = Pending(transport, accounts, recorder.faults, recorder.declared)
        with shield(recorder.faults, "salt_not_shared") as salting:
            salt = destination.salt()
        if salting.failed:
            salt = os.urandom(32)
        share = self._budget_share
        budget = None if share is None else Budget(share)
        encoders = open_encoders(self._encoders, recorder.faults, budget.owe if budget is not None else None)
        describers = Describers()
        builder = Builder(
            recorder.session, recorder.fork, salt, describers, self._redact, self._note, encoders, self._check
        )
        metering = None
        if self._energy is not None:
            make = meter_factory(self._energy, destination.settings)
            metering = Metering(make, recorder.session, recorder.faults)
        return Parts(builder, self._pending, self._sender, metering, budget)

    def _note(self, name: str) -> None:
        self._notes[name] = self._notes.get(name, 0) + 1

    def _renew(self) -> None:
        """In a forked child: a session of its own, with nothing of the parent's in line."""
        recorder = self._recorder
        recorder.fork += 1
        recorder.renew()
        self._begin_books()
        if self._energy is not None and recorder.live:
            self._recorder.start()

    def _begin_books(self) -> None:
        self._accounts = Accounts(self._recorder.session, self._recorder.fork)
        self._notes = {}
        self._folders = {}
        self._pending = self._sender = None

    def _ask(self, request: Request, timeout: float) -> bool:
        """Hand a request to the worker and wait; False from the worker itself, which cannot wait for itself."""
        recorder = self._recorder
        pending = self._pending
        if recorder.worker is None and (recorder.waiting or (pending is not None and pending.frames)):
            recorder.start(at_once=True)
        recorder.wait_for_start(timeout)
        worker = recorder.worker
        if worker is None:
            return not recorder.waiting
        if worker.is_current_thread() or not worker.alive:
            return False
        recorder.control.put(request)
        request.done.wait(max(0.0, timeout))
        return request.ok

    def _close(self, timeout: float, *, reason: str) -> bool:
        if self._closed:
            return True
        self._closed = True
        recorder = self._recorder
        ok = self._ask(Request(time.monotonic() + timeout, closing=True, reason=reason), timeout)
        recorder.live = False
        return ok


def _is_float(value: Any) -> bool:
    """A float, of Python's or numpy's."""
    kind = type(value)
    return issubclass(kind, float) or (kind.__module__ == "numpy" and kind.__name__.startswith("float"))
