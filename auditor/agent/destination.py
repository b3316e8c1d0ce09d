"""Where an agent delivers to, found once when it is made, and the salt of its commitments."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.agent.transport import MemorySegments, NoTransport, SegmentFolder, session_name
from auditor.core.errors import ConfigurationError
from auditor.core.private import make_folder, share
from auditor.settings import Home, Settings, find_home, read_settings

if TYPE_CHECKING:
    from auditor.agent.recorder import Recorder
    from auditor.agent.sender import Sender

log = logging.getLogger("auditor")

_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Destination:
    """`kind` is transport, spool, service or none; a service may have an `outbox`."""

    kind: str
    settings: Settings
    endpoint: str = ""
    key: str | None = None
    transport: Any = None
    outbox: Path | None = None

    @property
    def place(self) -> Path | None:
        """The lasting folder that segments, counter pages and the salt of commitments lie in: a home's spool, or an outbox."""
        return Home(self.settings.root).spool if self.kind == "spool" else self.outbox

    def folder(self, session: str) -> Path | None:
        """Where a new session's segments and its counter page lie."""
        if self.outbox is None:
            return None if self.place is None else self.place / session
        return self.outbox / session_name(self.outbox, session)

    def connect(self, recorder: Recorder, folder: Path | None) -> tuple[Any, Sender | None]:
        """What the frames of one session are written to, and what sends them on; called in the worker."""
        bounds, held = self.settings.agent, recorder.page is not None
        if self.kind == "spool" and folder is not None:
            return SegmentFolder(folder.parent, folder.name, bounds.spool_bytes, held=held), None
        if self.kind != "service":
            return NoTransport() if self.kind == "none" else self.transport, None
        from auditor.agent.http import HttpTransport
        from auditor.agent.sender import SEGMENT_BYTES, Sender, private_segments
        from auditor.segments import SeenCounts

        service = HttpTransport(self.endpoint, self.key)
        own: SegmentFolder | MemorySegments
        if folder is not None:
            own = SegmentFolder(folder.parent, folder.name, bounds.spool_bytes, segment_bytes=SEGMENT_BYTES, held=held)
            sender = Sender(own, service, recorder.faults)
        else:
            about = SeenCounts(recorder.about, recorder.fork, 0, 0, 0, 0, remade=False)
            own = private_segments(recorder.session, bounds.spool_bytes, bounds.queue_bytes)
            sender = Sender(own, service, recorder.faults, about)
        sender.start()
        return own, sender

    def salt(self) -> bytes:
        """Of commitments: the home's (the outbox's) own, so that equal payloads match across sessions; else this process's."""
        if self.place is None:
            return secrets.token_bytes(_SALT_BYTES)
        make_folder(self.place)
        return shared_salt(self.place / ".salt")


def shared_salt(place: Path) -> bytes:
    """The salt in a file, made (mode 0600) by whoever comes first: written aside, then linked to its name whole."""
    with contextlib.suppress(FileNotFoundError):
        return place.read_bytes()
    aside = place.with_name(f".salt-{os.getpid()}-{secrets.token_hex(4)}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        share(fd, place.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(_SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, place)
    finally:
        aside.unlink()
    return place.read_bytes()


def resolve(
    home: str | os.PathLike[str] | None,
    endpoint: str | None,
    key: str | None,
    transport: Any,
    outbox: str | os.PathLike[str] | None = None,
) -> Destination:
    """What the arguments say; else AUDITOR_HOME, AUDITOR_ENDPOINT with AUDITOR_KEY, the nearest `auditor.toml`; else none.

    An `outbox` goes with an endpoint, given or from AUDITOR_ENDPOINT.

    Raises
    ------
    ConfigurationError
        `two_destinations`, `outbox_without_endpoint`, or arguments that name something unusable. What is only found in the environment never
        stops a host: it is said, and defaults hold.
    """
    given = [name for name, value in (("home", home), ("endpoint", endpoint), ("transport", transport)) if value]
    if len(given) > 1:
        raise ConfigurationError(
            "two_destinations", f"{' and '.join(given)} are given", where="Agent", fix="give one of them"
        )
    if transport is not None:
        return Destination("transport", _lenient(None), transport=transport)
    if endpoint:
        return _http(endpoint, key, outbox)
    if outbox and not home and os.environ.get("AUDITOR_ENDPOINT"):
        return _http(os.environ["AUDITOR_ENDPOINT"], key or os.environ.get("AUDITOR_KEY"), outbox)
    if outbox:
        raise ConfigurationError(
            "outbox_without_endpoint",
            "an outbox waits for a service, and there is none",
            where="outbox",
            fix="give endpoint= or set AUDITOR_ENDPOINT; a home's spool needs no outbox",
        )
    if home:
        root = find_home(home)
        return Destination("spool", read_settings(root))
    if not os.environ.get("AUDITOR_HOME") and os.environ.get("AUDITOR_ENDPOINT"):
        return _http(
            os.environ["AUDITOR_ENDPOINT"], key or os.environ.get("AUDITOR_KEY"), os.environ.get("AUDITOR_OUTBOX")
        )
    with contextlib.suppress(OSError):  # a working directory that is gone
        root = find_home()
        if root is not None:
            return Destination("spool", _lenient(root))
    return Destination("none", _lenient(None))


def _http(endpoint: str, key: str | None, outbox: str | os.PathLike[str] | None) -> Destination:
    from auditor.agent.http import HttpTransport

    HttpTransport(endpoint, key)  # checks the address; nothing is opened
    place = Path(outbox).expanduser().absolute() if outbox else None  # the host may change its working directory
    return Destination("service", _lenient(None), endpoint=endpoint, key=key, outbox=place)


def _lenient(root: Path | None) -> Settings:
    """Settings that were not asked for: unusable ones are said, and defaults hold."""
    try:
        return read_settings(root)
    except ConfigurationError as error:
        log.warning("auditor: settings are not used: %s", error)
        return Settings(home=root)
