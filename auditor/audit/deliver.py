"""The verb: an audit that is committed goes to every sink; one that fails never stops another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from auditor.core.errors import AuditorError
from auditor.core.run import Audit
from auditor.ports import Sink

_log = logging.getLogger("auditor")


def deliver(audit: Audit, sinks: Mapping[str, Sink], artifacts: Path) -> dict[str, str]:
    """Hand the audit to each sink in turn.

    Parameters
    ----------
    artifacts : Path
        The folder that holds the audit's artifact files.

    Returns
    -------
    dict of str to str
        What went wrong, by name of the sink; empty when all took it. The store holds the audit either way, and delivering
        the same audit later again is harmless.
    """
    failed = {}
    for name, sink in sinks.items():
        try:
            sink.deliver(audit, artifacts)
        except AuditorError as error:
            failed[name] = str(error)
        except Exception as error:  # a sink of anyone's; the others still get their copy
            _log.exception("sink %s failed on %s %s", name, audit.run.model, audit.run.span)
            failed[name] = f"{type(error).__name__}: {error}"
    return failed
