"""The built wheel: dashboards, policies and migrations work from it, from any directory; without extras it needs numpy alone."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path, **environment: str) -> str:
    # The checkout must not be found: only what the wheel installed counts.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AUDITOR"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env={**clean, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel, and this environment's libraries behind it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    wheel = next(folder.glob("auditor-*.whl"))
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    return python


def borrow(python: Path, *packages: str) -> None:
    """Put libraries of this environment behind the fresh one: all of them, or only those named."""
    here = Path(next(path for path in sys.path if path.endswith("site-packages")))
    there = next((python.parent.parent / "lib").glob("python*")) / "site-packages"
    for package in packages:
        for path in here.glob(f"{package}*"):
            link = there / path.name
            if not link.exists():
                link.symlink_to(path)
    if not packages:
        (there / "borrowed.pth").write_text(f"{here}\n")


def test_without_extras_the_agent_needs_numpy_alone(installed: Path, tmp_path: Path) -> None:
    borrow(installed, "numpy")
    code = """
import sys, auditor, numpy
agent = auditor.Agent("m", version="1", home="home", describe="all")
model = agent.watch(inputs={"x": "tabular"}, output="label")(lambda x: "yes")
assert model({"age": 3.0}) == "yes"
with agent.inference() as record:
    record.input("photo", numpy.zeros((8, 8), numpy.uint8))
    record.output(label="cat")
agent.flush(timeout=10); agent.close()
stats = agent.stats()
assert stats["delivered"] >= 2, stats
outside = {name.split(".")[0] for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")}
assert outside <= {"auditor", "numpy", "_distutils_hack"}, outside
"""
    run(installed, "-c", code, cwd=tmp_path)
    assert list((tmp_path / "home" / "spool").rglob("*.seg"))


def test_policies_migrations_and_dashboards_come_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    borrow(installed)
    run(installed, "-m", "auditor", "init", "home", cwd=tmp_path)
    run(installed, "-m", "auditor", "audit", "--home", "home", cwd=tmp_path)
    run(installed, "-m", "auditor", "db", "check", "--home", "home", cwd=tmp_path)
    code = """
import auditor, pathlib, sys
assert "site-packages" in auditor.__file__
from auditor.shipped import shipped
for name, file in (("policies", "starter.yaml"), ("dashboards", "app.py"), ("migrations", "env.py")):
    assert (shipped(name) / file).is_file(), name
    assert "site-packages" in str(shipped(name)), shipped(name)
from streamlit.testing.v1 import AppTest
import os
os.environ["AUDITOR_HOME"] = "home"
page = AppTest.from_file(str(shipped("dashboards") / "app.py"), default_timeout=60).run()
assert not page.exception, page.exception
"""
    run(installed, "-c", code, cwd=tmp_path, STREAMLIT_BROWSER_GATHER_USAGE_STATS="false")
