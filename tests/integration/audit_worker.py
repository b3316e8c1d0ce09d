"""One audit as a process of its own, at a moment that is always the same: what system-call tests interrupt.

python audit_worker.py HOME
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from auditor.bootstrap import open_app
from auditor.core.errors import AuditorError
from auditor.core.window import DAY
from auditor.settings import load_settings
from auditor.testing.factories import MODEL, START

SINCE = START + 7 * DAY
NOW = SINCE + DAY + timedelta(hours=3)


def audit(home: Path) -> None:
    with open_app(load_settings(home), figures_only=True) as app:
        os.write(1, b"begin\n")
        done = app.pipeline.store.runs(MODEL)  # a window that is named is audited again, even if it was
        app.pipeline.audit(now=NOW, since=None if done else SINCE)


if __name__ == "__main__":
    try:
        audit(Path(sys.argv[1]))
    except AuditorError as error:
        print(f"error[{error.code}]", file=sys.stderr)
        sys.exit(2)
