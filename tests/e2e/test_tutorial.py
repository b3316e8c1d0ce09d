"""The tutorial is a test: its Python runs as written, then its commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "watch-your-model.md"
EXPECTED = {"audit": 1, "policy": 1}
SKIPPED = ("pip", "auditor dashboard")


def test_the_tutorial_runs_as_written(tmp_path: Path) -> None:
    blocks = re.findall(r"```(python|console)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    script: list[str] = []
    ran = []
    for kind, text in blocks:
        if kind == "python":
            script.append(text)
            continue
        if script:
            subprocess.run([sys.executable, "-c", "\n".join(script)], cwd=tmp_path, check=True)
            script = []
        for line in filter(None, text.split("\n")):
            if line.startswith(SKIPPED):
                continue
            words = shlex.split(line)
            done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode in (0, EXPECTED.get(words[1], 0)), f"{line}\n{done.stdout}{done.stderr}"
            ran.append((words[1], done.returncode, done.stdout))
    audit = next(entry for entry in ran if entry[0] == "audit")
    assert audit[1] == 1
    assert "age" in audit[2]
    assert (tmp_path / "drift.html").stat().st_size > 5000
