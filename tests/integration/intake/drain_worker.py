"""One acknowledged batch and one drain, as a process of its own: what system-call tests interrupt.

    python drain_worker.py HOME append|drain

`append` prints `acked ID` for each record once its segment was fsynced; `drain` takes everything in.
"""

import os
import sys
from pathlib import Path

from auditor.core.errors import AuditorError
from auditor.core.identity import canonical_json
from auditor.segments import SegmentWriter
from auditor.settings import Home


def append(home: Home) -> None:
    from auditor.testing.synthetic import make_records

    writer = SegmentWriter(home.spool / "session")
    for record in make_records(4, seed=2)[0]:
        writer.append([("record", canonical_json(record.as_json()))])
        os.write(1, f"acked {record.id}\n".encode())
    writer.close()


def drain(home: Home) -> None:
    from auditor.intake.archive import ParquetArchive
    from auditor.intake.drain import HomeIntake
    from auditor.store.sql import SqlStore

    store = SqlStore(f"sqlite:///{home.root}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    os.write(1, b"begin\n")
    HomeIntake(home, archive, store).drain()
    store.close()


if __name__ == "__main__":
    try:
        {"append": append, "drain": drain}[sys.argv[2]](Home(Path(sys.argv[1])))
    except AuditorError as error:
        print(f"error[{error.code}]", file=sys.stderr)
        sys.exit(2)
