"""The fixed words of dashboard and reports: verdicts, forces, reasons, metrics, what to do next."""

from __future__ import annotations

from auditor.core.measurement import How
from auditor.core.verdict import Force, Word

STATEMENT = (
    "This is evidence, not a conformity assessment. A pass says that a rule held on the data that was seen; "
    "whether a law is met is for a person to conclude."
)

WORDS: dict[Word, tuple[str, str]] = {
    Word.FAIL: ("Fail", "the rule was broken, long enough and clearly enough to say so"),
    Word.ERROR: ("Error", "the rule could not be evaluated; whoever operates the monitor should look first"),
    Word.INSUFFICIENT_EVIDENCE: ("Insufficient evidence", "the data cannot show whether the rule held"),
    Word.WARN: ("Warn", "near the limit, broken only briefly so far, or an advisory rule that did not hold"),
    Word.WAIVED: ("Waived", "a named person accepted it until a date; the verdict underneath stays on record"),
    Word.PASS: ("Pass", "the rule held on the data that was seen; it does not mean that a law is met"),
    Word.NOT_APPLICABLE: ("Not applicable", "the rule does not speak to this system"),
}
"""Each verdict's display name and meaning, in the order in which a reader should look at them."""

FORCES: dict[Force, str] = {
    Force.BINDING: "binding today",
    Force.READINESS: "readiness: a duty that is not in force yet",
    Force.VOLUNTARY: "voluntary",
    Force.INTERNAL: "the operator's own rule",
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
    "internal": "The operator's own rules",
}

RELATIONS = {
    "requires": "is the duty itself",
    "evidences": "gives data about",
    "supports": "helps with",
    "voluntary": "is voluntary under",
}

KINDS: dict[str, str] = {
    "image": "Images changed",
    "audio": "Audio changed",
    "text": "Text changed",
    "video": "Video changed",
    "tabular": "Table inputs changed",
    "series": "Sensor series changed",
    "point_cloud": "Point clouds changed",
    "embedding": "Embeddings changed",
    "bias": "Outcomes differ between groups",
    "alignment": "Inputs stopped belonging together",
    "missing": "An input is missing more often",
    "energy": "Energy per answer rose",
    "quality": "Quality of the answers changed",
    "capture": "Records are being lost",
    "policy": "A rule was broken",
}
"""Headline of an alert, by kind."""

NEXT: dict[str, str] = {
    "image": "Look at the newest images from each source, and ask what changed at the camera, scanner or upload path. "
    "If the change is meant to stay, pin a new baseline; if not, repair the source and watch whether the alert resolves.",
    "audio": "Listen to the newest clips from each source, and check microphone, gain, codec and sample rate. "
    "If the change is meant to stay, pin a new baseline.",
    "text": "Read recent texts beside texts of the baseline: a new language, template, form or population of writers?",
    "video": "Watch recent clips and check camera, frame rate and encoding.",
    "tabular": "Compare the changed columns with the systems that fill them: a new code, unit or default value?",
    "series": "Check the sensor: its rate, gain, mounting and stuck values.",
    "point_cloud": "Check the scanner: its mounting, range filter and occlusions.",
    "embedding": "Check whether the encoder was updated; if not, look at the payloads nearest to the change.",
    "bias": "Look at the cases of the group with the lowest figure and compare how its data reach the model. "
    "Assess the harm before changing anything, and decide on a mitigation with the people concerned.",
    "alignment": "Check that the inputs of one record belong to the same case: join keys, queues and upload order.",
    "missing": "Check the path on which this input arrives: uploader, permissions, time-outs.",
    "energy": "Compare versions, batch sizes and retries before and after the change; a new release is a usual cause.",
    "quality": "Read a sample of wrong answers, and compare with the drift of the inputs in the same windows.",
    "capture": "Look at the reasons of the losses below; until they are repaired, other figures rest on fewer records.",
    "policy": "Read the rule and its evidence, and decide who should act.",
}
"""What to do next, by alert kind; a policy's own words win where it has them."""
