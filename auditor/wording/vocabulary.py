"""The fixed words of dashboard and reports: verdicts, forces, how figures were obtained, frameworks."""

from __future__ import annotations

from auditor.core.measurement import How
from auditor.core.verdict import Force, Word

STATEMENT = (
    "This is evidence, not a conformity assessment. A pass says that a rule held on the data that was seen; "
    "whether a law is met is for a person to conclude."
)

WORDS: dict[Word, tuple[str, str]] = {
    Word.FAIL: ("Fail", "the control failed, long enough and clearly enough"),
    Word.ERROR: ("Error", "the control could not be evaluated; the operator of the monitor should look first"),
    Word.INSUFFICIENT_EVIDENCE: ("Insufficient evidence", "the data cannot show whether the control held"),
    Word.WARN: ("Warn", "near the limit, broken only briefly so far, or an advisory control that did not hold"),
    Word.WAIVED: ("Waived", "a named person accepted it until a date; the verdict underneath stays on record"),
    Word.PASS: ("Pass", "the control held on the data that was seen; it does not mean that a law is met"),
    Word.NOT_APPLICABLE: ("Not applicable", "the control does not apply to this system"),
}
"""Each verdict's display name and meaning, in the order in which a reader should look at them."""

BROKEN_EARLIER = "Pass now, broken earlier"
"""In place of a pass, where the control was broken in the same period."""

FORCES: dict[Force, str] = {
    Force.BINDING: "binding today",
    Force.READINESS: "readiness: a duty that is not in force yet",
    Force.VOLUNTARY: "voluntary",
    Force.INTERNAL: "the operator's own control",
}

HOW: dict[How, str] = {
    How.MEASURED: "measured",
    How.CALIBRATED: "calibrated against a meter",
    How.MODELLED: "modelled, not metered",
    How.SOURCED: "taken from a published source",
}

FRAMEWORKS = {
    "eu-ai-act": "EU AI Act, Regulation (EU) 2024/1689",
    "gdpr": "GDPR, Regulation (EU) 2016/679",
    "nist-ai-rmf": "NIST AI Risk Management Framework",
    "iso-42001": "ISO/IEC 42001",
    "iso-21031": "ISO/IEC 21031 (SCI)",
    "iso-ts-12791": "ISO/IEC TS 12791",
    "us-29-cfr-1607": "US Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607",
    "internal": "The operator's own controls",
}

RELATIONS = {
    "requires": "is the duty itself",
    "evidences": "gives data about",
    "supports": "helps with",
    "voluntary": "is voluntary under",
}
