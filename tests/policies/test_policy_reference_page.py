"""The examples on the reference page load together, and their cases pass."""

from __future__ import annotations

import re
from pathlib import Path

from auditor import registry
from auditor.audit.judge import judge
from auditor.policy.loader import load_policies
from auditor.policy.suite import run_suite

ROOT = Path(__file__).parents[2]


def test_examples_of_the_reference_page(tmp_path):
    page = (ROOT / "docs" / "reference" / "policy-files.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) == 4
    for i, block in enumerate(blocks):
        name = "mine.yaml" if "kind: Policy\n" in block else f"{i}.cases.yaml" if "PolicyTest" in block else f"{i}.yaml"
        (tmp_path / name).write_text(block, encoding="utf-8")
    vocabulary = registry.vocabulary()
    found = load_policies([tmp_path], vocabulary, [ROOT / "policies" / "eu_ai_act" / "calendar.yaml"])
    assert (len(found.policies), len(found.profiles), len(found.waivers), len(found.attestations)) == (1, 1, 1, 1)
    result = run_suite(found, judge, mutations=False)
    assert [failure.message for failure in result.failures] == []
    assert result.passed == 1


def test_every_lint_code_is_on_the_page():
    page = (ROOT / "docs" / "reference" / "policy-files.md").read_text(encoding="utf-8")
    source = (ROOT / "auditor" / "policy" / "lint.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'finding\(\s*"([a-z_]+)"', source))
    assert len(codes) >= 12
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
