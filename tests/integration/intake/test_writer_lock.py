"""One writer a home; the lock dies with its process, and no forked worker keeps it alive."""

import os
import subprocess
import sys

import pytest

from auditor.core.errors import ConfigurationError
from auditor.intake.lock import writer_lock
from auditor.settings import Home

HOLD = (
    "import sys; from pathlib import Path; from auditor.settings import Home; from auditor.intake.lock import writer_lock\n"
    "with writer_lock(Home(Path(sys.argv[1]))):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    home = Home(tmp_path)
    with writer_lock(home):
        with pytest.raises(ConfigurationError) as caught, writer_lock(home):
            pass
        assert caught.value.code == "writer_busy"
        assert str(os.getpid()) in caught.value.message
    with writer_lock(home):
        pass


def test_the_lock_dies_with_its_process(tmp_path):
    home = Home(tmp_path)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError) as caught, writer_lock(home):
            pass
        assert str(process.pid) in caught.value.message
        process.kill()
        process.wait()
    with writer_lock(home):
        pass


def test_a_forked_child_does_not_keep_it(tmp_path):
    home = Home(tmp_path)
    told, wait = os.pipe(), os.pipe()
    with writer_lock(home):
        pid = os.fork()
        if pid == 0:
            os.write(told[1], b"x")
            os.read(wait[0], 1)
            os._exit(0)
        os.read(told[0], 1)
    with writer_lock(home):
        pass
    os.write(wait[1], b"x")
    os.waitpid(pid, 0)
