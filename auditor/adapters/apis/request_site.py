"""Sites of models behind an API: the parts of a request, the response, and the version of the model that answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from auditor.adapters.parts import PartsSite, Unread
from auditor.agent.call import Call
from auditor.agent.shield import shield
from auditor.agent.site import Answer, Site
from auditor.agent.snapshot import freeze
from auditor.agent.stream import Watch
from auditor.core.input_names import Part

_MOST_VERSIONS = 64


class Reader(Protocol):
    """How one kind of request is read. All of it runs on the caller's thread, so none of it decodes anything."""

    def parts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        """(named parts, number left out)."""

    def model(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """The model that was asked for."""

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a `groups` callable gets."""

    def answer(self, result: Any) -> dict[str, Any]:
        """Parts of the answer: those of `site.ANSWER`, `generated` images and sounds (Raw), `vectors` of the inputs."""

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        """The same of a stream, which may have been left before its end."""

    def version(self, result: Any) -> str | None:
        """The model that answered, in the provider's words; of a stream, each of its items is asked."""


class RequestAnswer(Answer):
    """What the reader finds, as text, or as the label or value that the deployment says the text is."""

    def __init__(self, given: Answer, reader: Reader) -> None:
        super().__init__(given.output, given.scores, given.extract)
        self.reader = reader

    def read(self, result: Any) -> dict[str, Any]:
        return {} if result is None else self._finished(self.reader.answer(result), result)

    def read_stream(self, items: list[Any]) -> dict[str, Any]:
        return self._finished(self.reader.stream_answer(items), items)

    def _finished(self, found: dict[str, Any], result: Any) -> dict[str, Any]:
        found = {key: value for key, value in found.items() if value is not None}
        if self.output in ("label", "value") and isinstance(found.get("text"), str):
            said = found.pop("text").strip()
            found[self.output] = said if self.output == "label" else _number(said)
        if self.extract is not None:
            found.update(self.extract(result))
        if callable(self.scores):
            found["scores"] = self.scores(result)
        return {key: value if key == "generated" else freeze(value)[0] for key, value in found.items()}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class RequestSite(PartsSite):
    """A site for one kind of request of a client.

    The version of a record is the model that answered, in the provider's words (`gpt-4o-2024-08-06` where `gpt-4o` was
    asked for), so that a silent change behind a name is seen. `watch(version=...)` overrules it.

    Parameters
    ----------
    given : Site
        The client's.
    reader : Reader
    """

    def __init__(self, given: Site, reader: Reader) -> None:
        super().__init__(given)
        self.reader = reader
        self.answer = RequestAnswer(given.answer, reader)
        self.pinned = given.ref.version != given.recorder.ref.version
        self._versions: dict[str, RequestSite] = {}
        self._answered: dict[str | None, str] = {}

    def find(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        return self.reader.parts(args, kwargs)

    def asked(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        return self.reader.model(args, kwargs)

    def _take_groups(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super()._take_groups(call, (), self.reader.arguments(args, kwargs))

    def finish(
        self,
        call: Any,
        began: float,
        result: Any = None,
        error: BaseException | None = None,
        watch: Watch | None = None,
    ) -> None:
        site: Site = self
        with shield(self.recorder.faults, "version_unreadable"):
            if not self.pinned:
                items = (result,) if result is not None else (watch.items or ()) if watch is not None else ()
                site = self._of_version(call, items)
                if type(call) is Call:
                    call.site = site
        Site.finish(site, call, began, result, error, watch)

    def _of_version(self, call: Any, items: Sequence[Any]) -> Site:
        """The same site for the version that answered; when nothing says it, for the one that did so last time."""
        asked = call.split.requested if type(call) is Call and isinstance(call.split, Unread) else None
        said = next((version for version in map(self.reader.version, items[:64]) if version), None)
        if said is not None and (asked in self._answered or len(self._answered) < _MOST_VERSIONS):
            self._answered[asked] = self._answered[None] = said
        version = said or self._answered.get(asked) or asked or self.ref.version
        if version not in self._versions:
            if len(self._versions) >= _MOST_VERSIONS:
                return self
            made = RequestSite(self.given, self.reader)
            made.ref = replace(self.ref, version=version[:200])
            self._versions[version] = made
        return self._versions[version]
