"""Phrases that read as if translated, wherever they stand in code, docs and policies: `make lint` lists them.

Each pattern has what to write instead. A line that must keep such words ends with `language: keep`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PHRASES = {
    r"that of which": "name the thing",
    r"came and went": "resolved",
    r"well again": "recovered",
    r"in alarm": "open",
    r"undecided": "without a verdict",
    r"(?:it|which|that) (?:tells|knows)": "code returns, counts, writes; a person knows",
    r"(?:control|verdict|page|report|store|index|setting)s? (?:says?|said|tells?|knows?|speaks? to)": "a control has a result, a page shows, a store contains",
    r"is told": "is returned, is shown",
    r"what (?:came|comes|stands|waits)\b": "a noun",
    r"somebody": "a person, a client, a caller",
    r"deaf|insist": "a descriptive name",
}
"""Pattern (whole words, any case) -> what to write instead."""
ROOMS = ("auditor", "dashboards", "docs", "policies", "README.md", "CONTRIBUTING.md")
LEFT_OUT = ("docs/adr/", "auditor/store/tables.py")
"""Decisions as they were written, and comments of tables, which are those of released migrations."""
_FOUND = re.compile("|".join(rf"\b(?P<p{n}>{pattern})\b" for n, pattern in enumerate(PHRASES)), re.IGNORECASE)


def findings(path: Path) -> list[str]:
    """One line for each phrase of a file."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for match in _FOUND.finditer(line):
            if not line.endswith("language: keep"):
                advice = list(PHRASES.values())[int(str(match.lastgroup)[1:])]
                found.append(f"{path}:{number}: {match[0]!r}: {advice}")
    return found


def main() -> int:
    listed = subprocess.run(["git", "ls-files", *ROOMS], capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [Path(name) for name in listed if name.endswith((".py", ".md", ".yaml")) and not name.startswith(LEFT_OUT)]
    found = [line for path in paths if path.is_file() for line in findings(path)]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
