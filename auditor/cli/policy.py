"""`auditor policy`: check, test and explain policy files, and say what the stored verdicts mean for each article."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor import registry
from auditor.cli.common import add_common, print_json, settings_for, table
from auditor.core.errors import ConfigurationError
from auditor.core.identity import slug
from auditor.core.verdict import Verdict, Word
from auditor.core.window import format_duration, format_time, parse_time
from auditor.settings import find_home
from auditor.shipped import shipped

if TYPE_CHECKING:
    from auditor.policy.lint import LintFinding
    from auditor.policy.loader import PolicySet
    from auditor.policy.schema import Control, Policy

FAR = "9999-12-31"


def register(commands: Any) -> None:
    """Add `policy lint|test|check|explain|schema`."""
    parser = commands.add_parser("policy", help="check, test and explain policy files")
    parts = parser.add_subparsers(metavar="COMMAND", required=True)

    lint = parts.add_parser("lint", help="find what reads well but is wrong")
    lint.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders; else those in force")
    lint.add_argument("--at", metavar="TIME", help="judge expiry at this time instead of now")
    lint.set_defaults(run=run_lint)

    test = parts.add_parser("test", help="run the cases of policies, offline")
    test.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders; else those in force")
    test.add_argument(
        "--strict", action="store_true", help="untested controls and surviving mutations are findings too"
    )
    test.set_defaults(run=run_test)

    check = parts.add_parser("check", help="the newest verdicts by article, and what is missing")
    check.add_argument("--model", metavar="M", help="needed when the home holds several")
    check.add_argument("--at", metavar="TIME", help="as of this time instead of the last audit")
    check.add_argument("--on", metavar="DATE", help="also the force of each rule on this day (default: today)")
    check.add_argument("--allow-insufficient", action="store_true", help="insufficient evidence is no finding")
    check.set_defaults(run=run_check)

    interview = parts.add_parser(
        "interview", help="ask for the facts that rules depend on, and write the system profile"
    )
    interview.add_argument("--model", metavar="M", required=True, help="the model whose system is described")
    interview.add_argument("--answer", metavar="FACT=VALUE", action="append", default=[], help="answer without asking")
    interview.set_defaults(run=run_interview)

    explain = parts.add_parser("explain", help="what a control asks for, on whose word, and how it stands")
    explain.add_argument("control", metavar="CONTROL", help="id of a control, or POLICY/CONTROL")
    explain.add_argument("--model", metavar="M", help="show its verdicts for this model")
    explain.set_defaults(run=run_explain)

    schema = parts.add_parser("schema", help="JSON Schema of policy documents, for editors")
    schema.set_defaults(run=run_schema)
    for part in (lint, test, check, interview, explain, schema):
        add_common(part)


# -- lint and test ------------------------------------------------------------------------------------------------------


def run_lint(args: argparse.Namespace) -> int:
    """1 when there is a finding; a file that cannot be loaded stops it, like every command that judges."""
    from auditor.policy.lint import finding, lint
    from auditor.policy.meaning import problems

    at = parse_time(args.at) if args.at else datetime.now(UTC)
    found = _load(args, checked=False)
    findings = [finding(item.code, item.where, item.message, item.fix) for item in problems(found)] + lint(found, at)
    passed = sum(len(policy.controls) for policy in found.policies)
    failed = len({(item.file, item.line) for item in findings})
    if args.json:
        _print_findings(findings, passed=max(passed - failed, 0), failed=failed)
    else:
        for item in findings:
            print(f"{item.file}:{item.line}: {item.code}: {item.message}; {item.fix}")
        print(f"{len(findings)} finding(s) in {passed} control(s)")
    return 1 if findings else 0


def run_test(args: argparse.Namespace) -> int:
    """1 when a case fails; under --strict also when a control is untested or a mutation survives."""
    from auditor.audit.judge import judge
    from auditor.policy.lint import finding
    from auditor.policy.suite import run_suite

    found = _load(args)
    if not found.policies:
        raise ConfigurationError("no_policies", "there is no policy to test", where="policy test", fix="name a file")
    result = run_suite(found, judge)
    findings = [
        finding(
            "case_failed", failure.where, f"{failure.control}: {failure.message}", "correct the control or the case"
        )
        for failure in result.failures
    ]
    failed = sum(len(test.cases) for test in found.tests) - result.passed
    if args.json:
        _print_findings(
            findings, passed=result.passed, failed=failed, untested=result.untested, survivors=result.survivors
        )
    else:
        for item in findings:
            print(f"{item.file}:{item.line}: {item.message}")
        for title, names in (("untested", result.untested), ("survived", result.survivors)):
            for name in names:
                print(f"{title}: {name}")
        print(
            f"{result.passed} passed, {failed} failed, {len(result.untested)} untested, "
            f"{len(result.survivors)} mutation(s) survived"
        )
    return 1 if findings or (args.strict and (result.untested or result.survivors)) else 0


def _print_findings(
    findings: Sequence[LintFinding],
    *,
    passed: int,
    failed: int,
    untested: Sequence[str] = (),
    survivors: Sequence[str] = (),
) -> None:
    print_json(
        "policy-findings",
        {
            "findings": [item.as_json() for item in findings],
            "passed": passed,
            "failed": failed,
            "untested": list(untested),
            "survivors": list(survivors),
        },
    )


def _load(args: argparse.Namespace, *, checked: bool = True) -> PolicySet:
    """The named files, or everything in force in the home with its cases."""
    from auditor.policy.loader import load_policies

    library = sorted(shipped("policies").glob("*/calendar.yaml"))
    if args.paths:
        for path in args.paths:
            if not path.exists():
                raise ConfigurationError(
                    "no_file", f"{path} does not exist", where=str(path), fix="name a file or folder"
                )
        return load_policies(_with_policies(args.paths), registry.vocabulary(), library, checked=checked)
    settings = settings_for(args)
    return load_policies(_in_force(settings), registry.vocabulary(), library, checked=checked)


def _in_force(settings: Any) -> list[Path]:
    from auditor.settings import Home

    folder = Home(settings.root).policies
    found = [folder] if folder.is_dir() else []
    for name in settings.policy.packs:
        file, pack = shipped("policies") / f"{name}.yaml", shipped("policies") / name
        if file.is_file():
            found += [file, *sorted(file.parent.glob(f"{file.stem}*.cases.yaml"))]
        elif pack.is_dir():
            found.append(pack)
        else:
            raise ConfigurationError(
                "unknown_pack", f"there is no shipped policy pack {name!r}", where="[policy] packs", fix="see policies/"
            )
    return found


def _with_policies(paths: Sequence[Path]) -> list[Path]:
    """The paths; a file of cases brings the policy that it stands beside."""
    found = list(paths)
    for path in paths:
        if path.is_file() and path.name.endswith(".cases.yaml"):
            found += [
                beside
                for beside in sorted(path.parent.glob("*.yaml"))
                if not beside.name.endswith(".cases.yaml") and path.name.startswith(beside.stem)
            ]
        elif path.is_file():
            found += sorted(path.parent.glob(f"{path.stem}*.cases.yaml"))
    return list(dict.fromkeys(found))


# -- check and explain --------------------------------------------------------------------------------------------------


def run_check(args: argparse.Namespace) -> int:
    """1 when an enforced control fails, cannot be evaluated or (unless allowed) lacks evidence."""
    from auditor import bootstrap
    from auditor.policy.articles import by_article, counts, gaps
    from auditor.policy.calendar import force_on

    on = parse_time(args.on) if args.on else datetime.now(UTC)
    settings = settings_for(args)
    policies = bootstrap.policies_in_force(settings)
    queries = bootstrap.open_queries(settings)
    model = _model(args, [summary.name for summary in queries.models()])
    verdicts = _newest(queries.last_verdicts(model, parse_time(args.at or FAR)))
    if not verdicts:
        raise ConfigurationError(
            "no_verdicts",
            f"no window of {model!r} has been judged",
            where="policy check",
            fix="run `auditor audit` first",
        )
    articles = by_article(policies, verdicts, policies.profile(model))
    holes = gaps(policies, verdicts, articles, model)
    bad = {Word.FAIL, Word.ERROR} | (set() if args.allow_insufficient else {Word.INSUFFICIENT_EVIDENCE})
    at = max(verdict.end for verdict in verdicts)
    rules = {
        (policy.name, control.id): {
            "force_on": force_on(control, policies.calendar(policy), policies.profile(model), on),
            "limit_source": control.threshold_source or None,
        }
        for policy in policies.policies
        for control in policy.controls
    }
    if args.json:
        print_json(
            "policy-check",
            {
                "model": model,
                "at": format_time(at),
                "verdicts": [
                    {**verdict.as_json(), **rules.get((verdict.policy, verdict.control), {})} for verdict in verdicts
                ],
                "articles": [article.as_json() for article in articles],
                "gaps": [hole.as_json() for hole in holes],
                "counts": counts(verdicts),
            },
        )
    else:
        _show_check(model, at, verdicts, articles, holes, rules)
    return 1 if any(verdict.verdict in bad for verdict in verdicts) else 0


def _show_check(model: str, at: datetime, verdicts: Sequence[Verdict], articles: Any, holes: Any, rules: Any) -> None:
    from auditor.policy.articles import counts
    from auditor.policy.lattice import ORDER

    print(
        f"{model}, window to {format_time(at)}. A pass is a rule that held; it is evidence, not a conformity assessment."
    )
    print("\nWhat is not known")
    for hole in holes:
        print(
            f"  {hole.article or '-'}: {hole.reason}"
            + (f" ({hole.control or hole.policy})" if hole.control or hole.policy else "")
        )
    print("\nBy control")
    for verdict in sorted(verdicts, key=lambda item: -ORDER.index(item.verdict)):
        if verdict.verdict not in (Word.NOT_APPLICABLE, Word.PASS):
            print(f"  {verdict.verdict} [{_force(verdict, rules)}] {verdict.explanation}{_basis(verdict)}")
    for word in (Word.PASS, Word.NOT_APPLICABLE):
        names = [_name(verdict) for verdict in verdicts if verdict.verdict is word]
        if names:
            print(f"  {word}: {', '.join(names)}")
    rows = [{**article.as_json(), "controls": ", ".join(article.controls)} for article in articles if article.controls]
    if rows:
        print("\nBy article")
        print(
            table(
                rows,
                {
                    "framework": "framework",
                    "article": "article",
                    "verdict": "verdict",
                    "relation": "relation",
                    "controls": "controls",
                },
            )
        )
    print("\n" + ", ".join(f"{count} {word}" for word, count in counts(verdicts).items() if count))


def _force(verdict: Verdict, rules: Any) -> str:
    """The force at the window's end, and on the day asked for where it is another."""
    day = rules.get((verdict.policy, verdict.control), {}).get("force_on")
    if day is None or (day["force"] == verdict.force and "other_reading" not in day):
        return str(verdict.force)
    other = f", or {day['other_reading']} under the other reading" if "other_reading" in day else ""
    return f"{verdict.force}; on {day['on']} {day['force']}{other}"


def _basis(verdict: Verdict) -> str:
    """On whose word, and where the limit comes from."""
    parts = [f"{ref.relation} {ref.src} {ref.at}" for ref in verdict.refs]
    source = verdict.facts.get("limit_source")
    if source:
        words = source if isinstance(source, str) else " ".join(str(source[key]) for key in sorted(source))
        example = "an example, to be replaced by yours" if verdict.facts.get("limit_is_example") else words
        parts.append(f"limit: {example}")
    return f" ({'; '.join(parts)})" if parts else ""


def _name(verdict: Verdict) -> str:
    place = [part for part in (verdict.input, verdict.slice if verdict.slice != "overall" else None) if part]
    return verdict.control + (f" ({', '.join(place)})" if place else "")


def run_explain(args: argparse.Namespace) -> int:
    """Everything about one control; shipped packs are known without a home."""
    from auditor.policy.loader import load_policies

    home = find_home(args.home)
    if home is not None:
        policies = load_policies(_in_force(settings_for(args)), registry.vocabulary(), [shipped("policies")])
    else:
        policies = load_policies([shipped("policies")], registry.vocabulary())
    hits = [
        (policy, control)
        for policy in policies.policies
        for control in policy.controls
        if args.control in (control.id, f"{policy.name}/{control.id}")
    ]
    if not hits:
        known = sorted(control.id for policy in policies.policies for control in policy.controls)
        raise ConfigurationError(
            "unknown_control",
            f"no control is called {args.control!r}",
            where="policy explain",
            fix=f"one of {', '.join(known)}",
        )
    documents = [_describe(policies, policy, control) for policy, control in hits]
    if args.model and home is not None:
        from auditor import bootstrap

        queries = bootstrap.open_queries(settings_for(args))
        verdicts = _newest(queries.last_verdicts(args.model, parse_time(FAR)))
        for document in documents:
            document["verdicts"] = [
                verdict.as_json()
                for verdict in verdicts
                if (verdict.policy, verdict.control) == (document["policy"], document["control"])
            ]
    if args.json:
        print_json("policy-explain", {"controls": documents})
    else:
        for document in documents:
            _show_control(document)
    return 0


def _describe(policies: PolicySet, policy: Policy, control: Control) -> dict[str, Any]:
    from auditor.core.window import DAY
    from auditor.policy.budget import allowance
    from auditor.policy.calendar import provision_of
    from auditor.policy.schema import AttestationEvidence
    from auditor.wording.clauses import limit_text

    calendar = policies.calendar(policy)
    refs: list[dict[str, Any]] = []
    for ref in control.refs:
        provision = provision_of(ref, calendar) if calendar is not None else None
        dates = {route: format_time(day)[:10] for route, day in provision.applies_from.items()} if provision else {}
        title = provision.title if provision else None
        refs.append({"src": ref.src, "at": ref.at, "relation": ref.relation, "title": title, "applies_from": dates})
        if provision is not None:
            other = {route: format_time(day)[:10] for route, day in (provision.alternative or {}).items()}
            refs[-1] |= {"other_reading": other, "who": list(provision.who), "confidence": provision.confidence}
            refs[-1]["source"] = provision.source
    evidence = control.evidence
    share = allowance(policy, DAY, 1) if control.budgeted else None
    return {
        "policy": policy.name,
        "control": control.id,
        "title": control.title,
        "basis": control.basis,
        "severity": control.severity,
        "refs": refs,
        "evidence": f"a signed statement {evidence.statement!r}, valid for {format_duration(evidence.valid_for)}"
        if isinstance(evidence, AttestationEvidence)
        else evidence.metric,
        "holds_when": limit_text(control.condition),
        "least_n": control.window.total,
        "window": format_duration(control.window.duration) if control.window.duration else "the audited window",
        "for": format_duration(control.for_),
        "alpha_per_day": share.alpha if share is not None else None,
        "next": control.next,
        "where": control.where,
    }


def _show_control(document: dict[str, Any]) -> None:
    print(
        f"{document['policy']}/{document['control']}: {document['title']} ({document['basis']}, {document['severity']})"
    )
    print(f"  looks at   {document['evidence']}, over {document['window']}, n at least {document['least_n']}")
    print(f"  holds when {document['holds_when']}; fires when a breach lasts {document['for']}")
    if document["alpha_per_day"] is not None:
        print(f"  chance     {document['alpha_per_day']:.2g} a day for this control, shared by the series it looks at")
    for ref in document["refs"]:
        dates = ", ".join(f"{route} from {day}" for route, day in ref["applies_from"].items())
        if ref.get("other_reading"):
            dates += "; other reading: " + ", ".join(
                f"{route} from {day}" for route, day in ref["other_reading"].items()
            )
        print(f"  {ref['relation']:10} {ref['src']} {ref['at']}" + (f" {ref['title']} ({dates})" if dates else ""))
        if dates:
            print(f"  {'':10} for {', '.join(ref['who']) or 'everyone'}; {ref['source']}, {ref['confidence']}")
    if document["next"]:
        print(f"  next       {document['next']}")
    for verdict in document.get("verdicts", ()):
        print(f"  {verdict['verdict']}: {verdict['explanation']}")
    print(f"  {document['where']}")


def run_interview(args: argparse.Namespace) -> int:
    """Ask what no profile declares; write `policies/<model>.profile.yaml`. 1 when a question stays open."""
    from auditor.policy.interview import interview, known_answers, written
    from auditor.policy.loader import load_policies
    from auditor.policy.nodes import read_file
    from auditor.settings import Home

    settings = settings_for(args)
    policies = load_policies(
        _in_force(settings), registry.vocabulary(), sorted(shipped("policies").glob("*/calendar.yaml"))
    )
    profile = policies.profile(args.model)
    given = known_answers(profile, args.answer, policies.policies)
    answers, open_ = interview(policies.policies, given, input if sys.stdin.isatty() else None)
    path = (
        Path(profile.where.rpartition(":")[0])
        if profile is not None
        else Home(settings.root).policies / f"{slug(args.model)}.profile.yaml"
    )
    text = written(args.model, profile, answers)
    if profile is not None and len(read_file(path)) > 1:
        raise ConfigurationError(
            "profile_not_alone", "the profile shares its file", where=profile.where, fix="give it a file of its own"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if args.json:
        print_json("policy-interview", {"file": str(path), "answers": answers, "open": open_})
    else:
        print(f"{path}: {len(answers)} answer(s), {len(open_)} question(s) open")
        for item in open_:
            print(f"  {item['name']}: {item['question']} (decides {', '.join(item['articles']) or 'no article'})")
    return 1 if open_ else 0


def run_schema(args: argparse.Namespace) -> int:
    """JSON Schema 2020-12; metric names are those of the installed plugins."""
    from auditor.policy.read import json_schema

    print(json.dumps(json_schema(registry.vocabulary()), indent=1, sort_keys=True, ensure_ascii=False))
    return 0


def _model(args: argparse.Namespace, known: Sequence[str]) -> str:
    if args.model is None and len(known) == 1:
        return known[0]
    if args.model in known:
        return str(args.model)
    what = (
        "this home holds several models"
        if args.model is None and known
        else f"no record of {args.model or 'any model'}"
    )
    raise ConfigurationError("unknown_model", what, where="--model", fix=f"known: {', '.join(known) or 'none yet'}")


def _newest(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those of the last judged window: earlier results are history."""
    last = max((verdict.end for verdict in verdicts), default=None)
    return [verdict for verdict in verdicts if verdict.end == last]
