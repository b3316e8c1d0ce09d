"""A distribution of somebody else's adds a plugin of each kind, one file each: all work from `watch` to the dashboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

FILES = {
    "graph.py": '''
        """Graphs as lists of edges."""

        from auditor.core.errors import DescribeError
        from auditor.ports import DescriptorColumn


        class Graphs:
            """Describes a list of edges, pairs of whole numbers."""

            modality = "graph"
            title = "Graphs"
            headline = "Graphs changed"
            advice = "Compare the extraction of the graphs with that of the baseline."
            version = "1"
            columns = (
                DescriptorColumn("nodes", "numeric", "1", "Nodes with an edge."),
                DescriptorColumn("mean_degree", "numeric", "1", "Edges of a node, on average.", "edges per node"),
            )

            def describe(self, value, *, rate=None):
                if not isinstance(value, list) or not all(isinstance(e, tuple) and len(e) == 2 for e in value):
                    raise DescribeError("wrong_type", "a graph is a list of edges")
                nodes = {node for edge in value for node in edge}
                return {"nodes": float(len(nodes)), "mean_degree": 2 * len(value) / len(nodes) if nodes else None}


        PLUGIN = Graphs()
    ''',
    "degrees.py": '''
        """Relative change of the mean number of edges per node."""

        from auditor.core.catalogue import OWN_MODALITY, MetricSpec
        from auditor.core.measurement import Reading, Status

        SUFFIX = ".mean_degree"


        class Degrees:
            version = "1"
            needs_baseline = True
            metrics = (
                MetricSpec(
                    "drift.degree_change", "1", "Relative change of the mean degree.", "higher", ("input", "modality"),
                    label="change of the edges per node", short="degrees", format="percent", alert=OWN_MODALITY,
                    clause="the edges per node of {input} changed by {value}",
                    compares="The change of degrees compares the edges per node with the baseline's: 0 means none.",
                    reads=((None, "nodes have {percent} % more or fewer edges"),),
                ),
            )

            def measure(self, current, baseline, frame):
                if baseline is None:
                    return
                for name, column in sorted(baseline.numeric.items()):
                    if not name.endswith(SUFFIX):
                        continue
                    given = name.removesuffix(SUFFIX).split(".")[1]
                    common = {"metric": "drift.degree_change", "attributes": {"input": given, "modality": "graph"}}
                    now = current.numeric.get(name)
                    if now is None or not now.n:
                        yield Reading(status=Status.INSUFFICIENT_DATA, reason="absent_in_window", **common)
                        continue
                    change = abs(now.moments.mean / column.moments.mean - 1)
                    yield Reading(value=change, n=now.n, n_baseline=column.n, **common)


        PLUGIN = Degrees()
    ''',
    "pager.py": '''
        """Alerts appended to the file of a pager."""

        from pathlib import Path

        from auditor.ports import Option


        class Pager:
            events = ("opened",)

            def __init__(self, number, file):
                self.number, self.file = number, Path(file)

            def deliver(self, audit, artifacts):
                with self.file.open("a", encoding="utf-8") as out:
                    for alert in audit.alerts.opened:
                        out.write(f"{self.number} {alert.kind} {alert.control}\\n")


        class Factory:
            options = (
                Option("number", "Whom to page.", required=True),
                Option("file", "Where pages are queued.", "{home}/pages.txt"),
            )

            def configure(self, *, number, file):
                return Pager(number, file)


        PLUGIN = Factory()
    ''',
    "wattage.py": '''
        """A meter that takes a constant power for granted."""

        import time

        from auditor.ports import MeterReading, Option


        class Wattage:
            def __init__(self, watts):
                self.watts, self.since = watts, None

            def start(self):
                self.since = time.perf_counter()

            def read(self):
                if self.since is None:
                    return None
                now, before = time.perf_counter(), self.since
                self.since = now
                return MeterReading(
                    duration_s=now - before, joules={"cpu": self.watts * (now - before)}, cpu_s=now - before,
                    method="sourced", meter=f"wattage {self.watts:g} W", scope="process",
                )

            def stop(self):
                self.since = None


        class Factory:
            options = (Option("watts", "Power of the machine.", 20.0),)

            def configure(self, *, watts):
                return Wattage(watts)


        PLUGIN = Factory()
    ''',
    "about.py": '''
        """The figure lies within a tolerance of a target."""

        from auditor.ports import Operator

        PLUGIN = Operator(
            "between {low} and {high}", 2, lambda target, tolerance: (target - tolerance, target + tolerance)
        )
    ''',
}
ENTRY_POINTS = """\
[auditor.descriptors]
graph = someone_elses.graph:PLUGIN
[auditor.drift]
degrees = someone_elses.degrees:PLUGIN
[auditor.sinks]
pager = someone_elses.pager:PLUGIN
[auditor.energy]
wattage = someone_elses.wattage:PLUGIN
[auditor.operators]
about = someone_elses.about:PLUGIN
"""
POLICY = """\
apiVersion: auditor/v1
kind: Policy
metadata: {name: graphs, version: "1"}
spec:
  controls:
    - id: degrees
      title: Edges per node
      basis: internal
      evidence: {kind: metric, metric: drift.degree_change}
      condition: {op: about, value: [0.0, 0.25]}
"""
TRAFFIC = """
import sys
from datetime import UTC, datetime, timedelta
from random import Random
import auditor
assert not [name for name in sys.modules if name.startswith(("auditor.descriptors", "auditor.drift", "someone_elses"))]
now = datetime(2026, 3, 2, tzinfo=UTC)
agent = auditor.Agent("router", "1.0", home=sys.argv[1], describe="all", clock=lambda: now, energy="wattage")

@agent.watch(inputs={"g": "graph"})
def route(g):
    return len(g)

rng = Random(3)
for day in range(7):
    now = datetime(2026, 3, 2, 8, tzinfo=UTC) + timedelta(days=day)
    for call in range(150):
        now += timedelta(seconds=60)
        nodes = rng.randint(8, 12)
        route([(rng.randrange(nodes), rng.randrange(nodes)) for _ in range(nodes * (1 if day < 6 else 3))])
    agent.flush()
agent.close()
"""
CHECKS = """
from pathlib import Path
import sys
from auditor import registry
from auditor.testing import *
check_descriptor(registry.load("descriptors", "graph"), [[(1, 2)], [], [(0, 1), (1, 2), (2, 0)]])
check_measurer(registry.load("drift", "degrees"), *make_window(300, 4))
pager, meter = registry.load("sinks", "pager"), registry.load("energy", "wattage")
check_options(pager)
check_sink(pager.configure(number="112", file=Path(sys.argv[1]) / "checked.txt"), Path(sys.argv[1]))
check_options(meter)
check_meter(meter.configure(watts=3.0))
check_operator(registry.load("operators", "about"), (0.0, 0.25))
assert "graph" in registry.modalities() and registry.vocabulary().headline("graph") == "Graphs changed"
"""
PAGES = """
from streamlit.testing.v1 import AppTest
from auditor.shipped import shipped
app = AppTest.from_file(str(shipped("dashboards") / "app.py"), default_timeout=120).run()
assert not app.exception, app.exception
for page in ("pages/drift.py", "pages/energy.py"):
    app.switch_page(page).run()
    assert not app.exception, app.exception
    print(page, *(e.value for kind in ("markdown", "subheader", "expander", "caption") for e in getattr(app, kind) if hasattr(e, "value")))
    print(*(e.label for e in app.expander), *(e.value.to_string() for e in app.dataframe))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """Runs Python, or the command line, where the other distribution is installed; `run.home` is a home with its settings."""
    root = tmp_path_factory.mktemp("external")
    package = root / "site" / "someone_elses"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for name, text in FILES.items():
        (package / name).write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    info = root / "site" / "someone_elses-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someone-elses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AUDITOR_")}
    path = os.pathsep.join([str(root / "site"), *filter(None, [environ.get("PYTHONPATH")])])

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env={**environ, "PYTHONPATH": path, **more},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=280,
        )

    run.home = root / "home"
    assert run("-m", "auditor", "init", str(run.home)).returncode == 0
    (run.home / "auditor.toml").write_text(
        '[policy]\npacks = ["starter"]\n[audit]\nevidently = false\n[mlflow]\nenabled = false\n[energy.wattage]\nwatts = 30.0\n'
        '[sinks]\nenabled = ["jsonl", "pager"]\n'
    )
    (run.home / "policies" / "graphs.yaml").write_text(POLICY)
    return run


def test_each_plugin_passes_its_contract(run):
    done = run("-c", CHECKS, str(run.home))
    assert done.returncode == 0, done.stderr


def test_from_watch_to_an_alert_a_page_and_the_dashboard(run):
    done = run("-c", TRAFFIC, str(run.home))
    assert done.returncode == 0, done.stderr
    home = ("--home", str(run.home))
    done = run("-m", "auditor", "audit", *home)
    assert done.returncode == 2
    assert done.stderr.startswith("error[missing_setting]: ")
    assert done.stderr.count("\n") == 1
    assert "AUDITOR_SINKS_PAGER_NUMBER" in done.stderr
    number = {"AUDITOR_SINKS_PAGER_NUMBER": "112"}
    span = ("--since", "2026-03-02", "--until", "2026-03-07")
    done = run("-m", "auditor", "baseline", "pin", "--model", "router", *span, *home, **number)
    assert done.returncode == 0, done.stderr
    done = run("-m", "auditor", "audit", "--since", "2026-03-07", "--until", "2026-03-09", "--json", *home, **number)
    assert done.returncode == 1, done.stderr
    opened = json.loads(done.stdout)["alerts"]["opened"]
    mine = {alert["control"]: alert for alert in opened if alert["kind"] == "graph"}
    assert {"degrees", "drift-inputs"} <= set(mine), opened
    assert mine["drift-inputs"]["input"] == "g"
    assert "Compare the extraction of the graphs" in mine["drift-inputs"]["explanation"]
    assert "between" in mine["degrees"]["explanation"]
    assert "112 graph degrees" in (run.home / "pages.txt").read_text()
    assert "30 W" in run("-m", "auditor", "report", "energy", "--model", "router", "--format", "json", *home).stdout
    done = run("-c", PAGES, AUDITOR_HOME=str(run.home))
    assert done.returncode == 0, done.stderr
    assert "Graphs changed" in done.stdout
    assert "edges per node" in done.stdout


def test_it_is_listed_with_its_options_and_metrics(run):
    found = json.loads(run("-m", "auditor", "plugins", "--json").stdout)
    listed = {(entry["kind"], entry["name"]): entry for entry in found["plugins"]}
    assert listed["sinks", "pager"]["options"][0]["required"] is True
    assert {("descriptors", "graph"), ("operators", "about"), ("energy", "wattage"), ("drift", "degrees")} <= set(
        listed
    )
    assert any(metric["name"] == "drift.degree_change" for metric in found["metrics"])
