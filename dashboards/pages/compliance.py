"""Compliance: provisions with evidence, provisions with gaps, and the conclusion that a person draws."""

import data
import show
import streamlit as st

from auditor import wording
from auditor.core.verdict import Word
from auditor.reports import parts
from auditor.reports.compliance import evidence_count, frameworks, provisions, rules_with_reach
from auditor.reports.evidence import Evidence
from auditor.wording import vocabulary


def main() -> None:
    evidence = data.choose()
    if evidence is None:
        return
    question = "Which provisions have evidence, which have gaps, and what does a person still have to conclude?"
    show.header("Compliance", question, evidence)
    st.info(vocabulary.STATEMENT)
    show.gaps(evidence)
    show.counts(evidence)
    for source in frameworks(evidence):
        one_framework(evidence, source)
    own = [item for item in evidence.current if not item.refs]
    if own:
        st.subheader("The operator's own controls")
        for item in own:
            place = "" if wording.where(item) == "all traffic" else f" · :gray[{show.safe(wording.where(item))}]"
            with st.expander(f"{show.word_mark(evidence, [item])} **{show.safe(wording.title(item))}**{place}"):
                show.verdict(item, evidence)
    waivers(evidence)
    conclusion(evidence)


def one_framework(evidence: Evidence, source: str) -> None:
    st.subheader(show.safe(evidence.rules.framework(source)))
    for at, verdicts in provisions(evidence, source).items():
        forces = wording.listing(sorted({str(item.force) for item in verdicts}))
        title = evidence.rules.provision(source, at)
        name = f"{at}, {title}" if title else at
        counted = evidence_count(verdicts)
        rules = wording.listing(rules_with_reach(verdicts), most=4)
        evident = counted if counted == "does not apply" else f"{counted} with evidence"
        evident += f" · {parts.broken(evidence, verdicts)}"
        with st.expander(
            f"{show.word_mark(evidence, verdicts)} **{show.safe(name)}** · {show.safe(rules)} · :gray[{forces} · {evident}]"
        ):
            relations = {ref.relation for item in verdicts for ref in item.refs if (ref.src, ref.at) == (source, at)}
            said = wording.listing(sorted(vocabulary.RELATIONS.get(relation, relation) for relation in relations))
            st.caption(f"Each control below {said} this provision.")
            for item in verdicts:
                show.verdict(item, evidence)


def waivers(evidence: Evidence) -> None:
    st.subheader("Waivers")
    waived = [item for item in evidence.current if item.verdict is Word.WAIVED]
    st.caption(
        "A waiver changes nothing in law: it records who accepted what until when, and the verdict underneath stays."
        if waived
        else "No waiver is in effect."
    )
    for item in waived:
        show.verdict(item, evidence)


def conclusion(evidence: Evidence) -> None:
    st.subheader("Human conclusion")
    with st.container(border=True):
        st.markdown(
            ":gray[Left empty on purpose. Only a person with the authority to do so fills this in, on the signed review.]"
        )
    data.download("Download the review to sign", "compliance", evidence)


main()
