"""Agents of another user: the home's owner shares its spool with a group, and nothing else."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.bootstrap import init_home, open_app
from auditor.core.errors import ConfigurationError
from auditor.settings import load_settings

AGENT = """
import os, sys
import auditor

def record(home):
    agent = auditor.Agent("m", "1", home=home, describe="all")
    model = agent.watch(lambda note: "a")
    for _ in range(5):
        model("hello")
    assert agent.flush(20), agent.stats()
    agent.close(5)

record(sys.argv[3])  # loads every module: another user may not be able to read this interpreter's library
os.setgroups([int(sys.argv[2])]); os.setgid(65534); os.setuid(65534)
os.umask(0o077)
record(sys.argv[1])
"""


def test_a_group_that_is_not_there_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = init_home(tmp_path / "home")
    monkeypatch.setenv("AUDITOR_HOME_GROUP", "no-such-group")
    with pytest.raises(ConfigurationError) as error, open_app(load_settings(home.root), figures_only=True):
        pass
    assert error.value.code == "unknown_group"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run an agent as another user")
def test_an_agent_of_another_user_of_the_group_writes_and_the_owner_drains() -> None:
    import tempfile

    group = grp.getgrnam("daemon").gr_gid
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are the owner's alone
        Path(folder).chmod(0o755)
        home = init_home(Path(folder) / "home")
        with home.settings.open("a") as file:
            file.write('\n[home]\ngroup = "daemon"\n')
        with open_app(load_settings(home.root), figures_only=True):
            pass
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.root.iterdir()}
        assert (stat.S_IMODE(home.root.stat().st_mode), modes["spool"]) == (0o710, 0o2770)
        assert (modes["archive"], modes["store"]) == (0o700, 0o700)
        command = [sys.executable, "-c", AGENT, str(home.root)]
        own = str(Path(folder) / "own")
        done = subprocess.run(
            [*command, str(group), own], capture_output=True, text=True, timeout=100, env={**os.environ, "HOME": folder}
        )
        assert done.returncode == 0, done.stderr[-800:]
        with open_app(load_settings(home.root), figures_only=True) as app:
            assert app.pipeline.take_in().accepted == 5
        outsider = subprocess.run(
            [*command, "65534", own], capture_output=True, text=True, timeout=100, env={**os.environ, "HOME": folder}
        )
        assert outsider.returncode != 0, "without the group the home stays closed"
