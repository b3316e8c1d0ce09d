"""Canaries: fixed prompts that the deployed model answers again and again, so that a silent change shows although no user changed."""

from __future__ import annotations

import hashlib
import random
import threading
import unicodedata
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

from auditor.agent.agent import Agent
from auditor.agent.shield import shield
from auditor.core.canary import SUFFIX, answer_label
from auditor.core.errors import ConfigurationError
from auditor.core.window import parse_duration

_PARTS = ("text", "tokens", "finish", "refused", "scores")
_MOST = 100
_LONGEST_ID = 64
_DIGEST_BYTES = 5
_FIRST_S = 60.0
_JITTER = 0.1


class Canaries:
    """Asks a deployed model the same things on a schedule; each answer is a record of the model `<name>.canary`.

    Making one may fail loudly (ConfigurationError: wrong arguments). From then on it never raises an Exception into the host: an answer
    that fails or does not come in time is the record of a failed call. One daemon thread, from `start` (or `with`) to `close`.

    Parameters
    ----------
    name : str
        The model's, as users' calls are recorded under; canaries never mix with them.
    answer : callable
        `answer(prompt)` asks the deployed model, past any watched client, and returns the text, or a mapping with any of text, tokens
        (`{"input":, "output":}`), finish, refused, scores.
    prompts : mapping
        By id (1 to 64 characters without `=`), at most 100: a text, or a mapping of input to payload for `answer(**inputs)`.
    every : str, number, timedelta or None
        Time between two rounds (`1h`, seconds), jittered by a tenth; None: no thread, whoever has a scheduler calls `run_once`.
    version : str
        The model's.
    timeout : float
        Seconds for one answer. One that takes longer is given up; until it ends no other is asked.
    normalise : callable, optional
        `normalise(text) -> text` before answers are compared; default: Unicode NFKC, case and white space evened out.
    salt : str, optional
        Keys the digests of answers. Default: the home's or outbox's own; with an endpoint alone it follows from the key.
    **options
        Of the `Agent`: home, endpoint, key, outbox, clock, answers, encoders, ...
    """

    def __init__(
        self,
        name: str,
        answer: Callable[..., Any],
        prompts: Mapping[str, Any],
        every: str | float | timedelta | None = "1h",
        *,
        version: str = "",
        timeout: float = 60.0,
        normalise: Callable[[str], str] | None = None,
        salt: str | None = None,
        **options: Any,
    ) -> None:
        self._prompts = _checked(prompts)
        self._every_s = None if every is None else _seconds(every)
        if not callable(answer):
            raise ConfigurationError(
                "bad_canary", f"{answer!r} cannot be called", where="answer", fix="give answer(prompt)"
            )
        self._answer = answer
        self._timeout_s = float(timeout)
        self._normalise = normalise or even
        self._agent = Agent(f"{name}{SUFFIX}", version, describe="all", **options)
        self._said_salt = salt
        self._key: bytes | None = None
        self._running = threading.Lock()
        self._over = threading.Event()
        self._asking: threading.Thread | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Canaries:
        """Begin the rounds, the first within a minute; nothing when there is no schedule or they have begun."""
        if self._every_s is not None and self._thread is None and not self._over.is_set():
            with shield(self._agent.faults, "canaries_not_started"):
                thread = threading.Thread(target=self._work, args=(self._every_s,), name="auditor-canary", daemon=True)
                thread.start()
                self._thread = thread
        return self

    def run_once(self) -> dict[str, str | None]:
        """One round, now: for each canary None, or the name of the error that its call failed with; {} while another round runs."""
        found: dict[str, str | None] = {}
        if not self._running.acquire(blocking=False):
            return found
        try:
            for canary, prompt in self._prompts.items():
                if self._over.is_set():
                    break
                found[canary] = self._call(canary, prompt)
        finally:
            self._running.release()
        return found

    def close(self, timeout: float = 2.0) -> bool:
        """Stop, and deliver what there is; whether that was reached within `timeout` seconds."""
        self._over.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout / 2)
        return self._agent.close(timeout)

    def flush(self, timeout: float = 2.0) -> bool:
        """`Agent.flush`."""
        return self._agent.flush(timeout)

    def stats(self) -> dict[str, Any]:
        """`Agent.stats`."""
        return self._agent.stats()

    def __enter__(self) -> Canaries:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- one round ----------------------------------------------------------------------------------------------------

    def _work(self, every_s: float) -> None:
        chance = random.Random()  # the host's own numbers stay as they are
        pause = chance.uniform(0.0, min(every_s, _FIRST_S))  # many replicas start together, and must not ask together
        while not self._over.wait(pause):
            with shield(self._agent.faults, "canaries_failed"):
                self.run_once()
            pause = every_s * chance.uniform(1.0 - _JITTER, 1.0 + _JITTER)

    def _call(self, canary: str, prompt: Mapping[str, Any] | str) -> str | None:
        """One answer, recorded; the name of its error."""
        try:
            with self._agent.inference() as record:
                inputs = {"prompt": prompt} if isinstance(prompt, str) else prompt
                for name, value in inputs.items():
                    record.input(name, value)
                answer = self._in_time(prompt)
                parts: dict[str, Any] = {"text": answer} if isinstance(answer, str) else dict(answer)
                text = parts.get("text")
                label = self._label(canary, text) if isinstance(text, str) else None
                record.output(label, **{part: parts[part] for part in _PARTS if parts.get(part) is not None})
        except Exception as error:  # recorded by the block it left
            return type(error).__name__
        return None

    def _in_time(self, prompt: Mapping[str, Any] | str) -> Any:
        """The answer, or whatever it raised; TimeoutError when it does not come in time, or an earlier one still has not come."""
        if self._asking is not None and self._asking.is_alive():
            raise TimeoutError("an earlier answer has not come yet")
        came: list[Any] = []
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                came.append(self._answer(prompt) if isinstance(prompt, str) else self._answer(**prompt))
            except BaseException as error:  # the thread is ours, and what ended the call is its outcome
                failed.append(error)

        self._asking = threading.Thread(target=ask, name="auditor-canary-call", daemon=True)
        self._asking.start()
        self._asking.join(self._timeout_s)
        if failed:
            error = failed[0]
            raise error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
        if not came:
            raise TimeoutError("no answer in time")
        return came[0]

    def _label(self, canary: str, text: str) -> str | None:
        """The class of an answer; None while no salt can be had: other digests would look like other answers."""
        redact = self._agent._redact
        if redact is not None:
            text = redact("output", "text", text)
        if self._key is None:
            with shield(self._agent.faults, "salt_not_shared"):
                self._key = self._salt()
        if self._key is None or not isinstance(text, str):
            return None
        evened = self._normalise(text).encode("utf-8", "surrogatepass")
        return answer_label(canary, hashlib.blake2b(evened, digest_size=_DIGEST_BYTES, key=self._key).hexdigest())

    def _salt(self) -> bytes:
        destination = self._agent._destination
        if self._said_salt is not None:
            secret = str(self._said_salt).encode()
        elif destination.place is not None:
            secret = destination.salt()
        else:  # nothing on this machine outlives the process
            secret = b"auditor.canary\0" + (destination.key or self._agent._recorder.ref.name).encode()
        return hashlib.sha256(secret).digest()


def even(text: str) -> str:
    r"""Unicode NFKC, lower case, runs of white space as one space, none at the ends.

    >>> even("  Paris,\n France ") == even("paris, france")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _checked(prompts: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(prompts, Mapping) or not 1 <= len(prompts) <= _MOST:
        raise ConfigurationError(
            "bad_canary", "there are no prompts, or too many", where="prompts", fix=f"give 1 to {_MOST} by id"
        )
    for canary, prompt in prompts.items():
        if not isinstance(canary, str) or not 1 <= len(canary) <= _LONGEST_ID or "=" in canary:
            raise ConfigurationError(
                "bad_canary", f"{canary!r} is not an id", where="prompts", fix="give 1 to 64 characters without ="
            )
        if not isinstance(prompt, (str, Mapping)) or not prompt:
            raise ConfigurationError(
                "bad_canary", "a prompt is no text", where=f"prompts[{canary!r}]", fix="give a text, or inputs by name"
            )
    return dict(prompts)


def _seconds(every: str | float | timedelta) -> float:
    if isinstance(every, str):
        every = parse_duration(every)
    seconds = every.total_seconds() if isinstance(every, timedelta) else float(every)
    if not seconds > 0:
        raise ConfigurationError("bad_canary", f"{every!r} is no time between rounds", where="every", fix="write 1h")
    return seconds
