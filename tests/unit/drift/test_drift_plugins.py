"""Each drift plugin on clean traffic and on traffic with one planted fault."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from auditor.core.artifact import sealed
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import Presence, WindowState
from auditor.drift import alignment, evidently, frechet, kernel, missingness, univariate
from auditor.testing.checks import check_measurer
from auditor.testing.synthetic import make_rows, make_state, make_window

PLUGINS = {
    "alignment": alignment.PLUGIN,
    "evidently": evidently.PLUGIN,
    "frechet": frechet.PLUGIN,
    "kernel": kernel.PLUGIN,
    "missingness": missingness.PLUGIN,
    "univariate": univariate.PLUGIN,
}
Window = tuple[WindowState, WindowState, Frame]


@pytest.fixture(scope="module")
def clean() -> Window:
    return make_window(400, 3)


def _by(readings: list[Reading], metric: str) -> dict[str, Reading]:
    """Readings of a metric by input or pair and column."""
    found = {}
    for reading in readings:
        if reading.metric == metric:
            owner = reading.attributes.get("input") or reading.attributes.get("pair") or ""
            found[f"{owner}.{reading.attributes['column']}" if "column" in reading.attributes else owner] = reading
    return found


@pytest.mark.parametrize("name", PLUGINS)
def test_the_contract_of_measurers(name: str, clean: Window) -> None:
    check_measurer(PLUGINS[name], *clean)


@pytest.mark.parametrize("name", PLUGINS)
def test_without_a_baseline_only_missingness_speaks(name: str, clean: Window) -> None:
    readings = list(PLUGINS[name].measure(clean[0], None, clean[2]))
    assert bool(readings) == (name == "missingness")
    assert all(reading.p_value is None and reading.n_baseline is None for reading in readings)


def test_ks_is_scipys_within_the_bound() -> None:
    # Baselines of fewer rows than a sample keeps: the samples then hold every value.
    rows = make_rows(1500, 8)
    frame = _frame(rows)
    state, other = make_state(rows, frame), make_state(make_rows(300, 9, darken=0.97), frame)
    for name, reading in _by(list(univariate.PLUGIN.measure(other, state, frame)), "drift.ks").items():
        column = next(c for c, spec in frame.columns.items() if f"{spec.input or ''}.{spec.short}" == name)
        a, b = (side.sample.numeric[column] for side in (state, other))
        exact = stats.ks_2samp(a[np.isfinite(a)], b[np.isfinite(b)]).statistic
        assert reading.value is not None
        assert reading.bound is not None
        assert reading.value - 1e-12 <= exact <= reading.value + reading.bound + 1e-12


def _frame(rows: object) -> Frame:
    from auditor.audit.summarise import fit_frame

    return fit_frame(rows)  # type: ignore[arg-type]


def test_own_distances_agree_with_evidently(clean: Window) -> None:
    """Where both mean the same: Wasserstein by the baseline's deviation, Jensen-Shannon and PSI of categories."""
    rows = make_rows(1900, 21)  # all rows are in the sample
    frame = _frame(rows)
    baseline, current = make_state(rows, frame), make_state(make_rows(500, 22, darken=0.95, noise_db=2), frame)
    ours = {
        (r.metric, r.attributes["column"], r.attributes.get("input")): r
        for r in univariate.PLUGIN.measure(current, baseline, frame)
    }
    names = {"wasserstein": "drift.wasserstein", "jensenshannon": "drift.jensen_shannon", "psi": "drift.psi"}
    compared = 0
    for reading in evidently.PLUGIN.measure(current, baseline, frame):
        method, column = reading.attributes["component"], reading.attributes["column"]
        categorical = column in ("language", "output.label")
        if method != "wasserstein" and not categorical:
            continue
        own = ours[names[method], column, reading.attributes.get("input")]
        # Evidently's Jensen-Shannon distance is in nats, ours in bits.
        expected = reading.value / np.sqrt(np.log(2)) if method == "jensenshannon" else reading.value
        assert own.value == pytest.approx(expected, rel=0.01, abs=1e-3), (method, column)
        compared += 1
    assert compared > 15


def test_dark_photos_are_seen_in_the_photo_alone() -> None:
    readings = list(univariate.PLUGIN.measure(*make_window(400, 4, darken=0.8)))
    found = _by(readings, "drift.ks")
    assert found["photo.brightness"].p_value < 1e-20
    assert found["photo.contrast"].value > 0.5
    assert (facts := found["photo.brightness"].facts)["mean"] < facts["baseline_mean"]
    others = [r.p_value for name, r in found.items() if not name.startswith("photo.")]
    assert min(others) > 1e-4


def test_re_paired_inputs_are_seen_by_alignment_alone() -> None:
    window = make_window(400, 5, repaired=0.25)
    found = _by(list(alignment.PLUGIN.measure(*window)), "alignment.concordance")["photo~clip"]
    assert found.p_value < 1e-6
    ratio = _by(list(alignment.PLUGIN.measure(*window)), "alignment.concordance.ratio")["photo~clip"]
    assert ratio.value < 0.92
    assert ratio.p_value == found.p_value
    assert found.interval.lower < found.value < found.interval.upper
    marginal = _by(list(univariate.PLUGIN.measure(*window)), "drift.ks")
    assert min(r.p_value for name, r in marginal.items() if name.startswith(("photo.", "clip.", "note."))) > 1e-4


def test_a_missing_input_is_missing_and_nothing_else() -> None:
    """30 % of the clips gone: the rate says so, and the clips that are left are no different."""
    window = make_window(400, 6, missing=0.3)
    rates = _by(list(missingness.PLUGIN.measure(*window)), "input.missing_rate")
    assert rates["clip"].value == pytest.approx(0.3, abs=0.06)
    assert rates["clip"].p_value < 1e-30
    assert rates["clip"].interval.lower < 0.3 < rates["clip"].interval.upper + 0.05
    assert rates["photo"].p_value == 1.0
    found = _by(list(univariate.PLUGIN.measure(*window)), "drift.ks")
    assert min(r.p_value for name, r in found.items() if name.startswith("clip.")) > 1e-4
    assert found["clip.level_dbfs"].n < 320


def test_an_input_that_is_never_mentioned_is_missing(clean: Window) -> None:
    current, baseline, frame = clean
    silent = replace(
        current,
        presence={name: p for name, p in current.presence.items() if name != "clip"},
        numeric={name: s for name, s in current.numeric.items() if ".clip." not in name},
    )
    rate = _by(list(missingness.PLUGIN.measure(silent, baseline, frame)), "input.missing_rate")["clip"]
    assert (rate.value, rate.n, rate.attributes["modality"]) == (1.0, 400, "audio")
    gone = _by(list(univariate.PLUGIN.measure(silent, baseline, frame)), "drift.ks")["clip.level_dbfs"]
    assert (gone.status, gone.reason, gone.value) == (Status.INSUFFICIENT_DATA, "absent_in_window", None)


def test_failures_to_describe_are_a_rate_of_their_own(clean: Window) -> None:
    current, baseline, frame = clean
    failing = replace(current, presence={**current.presence, "clip": Presence(present=380, failed=20)})
    readings = list(missingness.PLUGIN.measure(failing, baseline, frame))
    assert _by(readings, "input.failed_rate")["clip"].value == 0.05
    assert _by(readings, "input.missing_rate")["clip"].value == 0.0


def test_another_describer_is_never_compared_silently(clean: Window) -> None:
    current, baseline, frame = clean
    changed = replace(current, describers={**current.describers, "photo": {"image/1|": 390, "image/2|": 10}})
    found = _by(list(univariate.PLUGIN.measure(changed, baseline, frame)), "drift.ks")
    assert (found["photo.brightness"].status, found["photo.brightness"].reason) == (
        Status.NOT_APPLICABLE,
        "describer_changed",
    )
    assert found["photo.head.confidence"].status is Status.OK  # the head is the model's own
    assert found["clip.level_dbfs"].status is Status.OK


def test_another_encoder_stops_embeddings_and_cosines_only(clean: Window) -> None:
    current, baseline, frame = clean
    changed = replace(current, describers={**current.describers, "photo": {"image/1|clip-2": 400}})
    vectors = _by(list(kernel.PLUGIN.measure(changed, baseline, frame)), "drift.mmd2")
    assert vectors["photo.embedding"].reason == "describer_changed"
    assert vectors["photo.head.scores"].status is Status.OK
    assert vectors["note.embedding"].status is Status.OK
    cosine = _by(list(alignment.PLUGIN.measure(changed, baseline, frame)), "alignment.cosine")
    assert cosine["note~photo"].reason == "describer_changed"
    found = _by(list(univariate.PLUGIN.measure(changed, baseline, frame)), "drift.ks")
    assert found["photo.brightness"].status is Status.OK


def test_too_few_rows_give_no_figure(clean: Window) -> None:
    _, baseline, frame = clean
    few = make_state(make_rows(12, 1), frame)
    for name in ("univariate", "kernel", "frechet", "alignment", "evidently"):
        readings = list(PLUGINS[name].measure(few, baseline, frame))
        assert readings
        assert {(r.status, r.reason) for r in readings} == {(Status.INSUFFICIENT_DATA, "below_min_samples")}


def test_a_column_the_baseline_never_had_says_so(clean: Window) -> None:
    current, baseline, frame = clean
    new = replace(
        current, numeric={**current.numeric, "inputs.photo.descriptors.glare": next(iter(current.numeric.values()))}
    )
    found = _by(list(univariate.PLUGIN.measure(new, baseline, frame)), "drift.ks")["photo.glare"]
    assert (found.status, found.reason) == (Status.NOT_APPLICABLE, "absent_in_baseline")
    assert found.attributes["modality"] == "image"


def test_embedding_distances_see_a_shift() -> None:
    current, baseline, frame = make_window(400, 7)
    rows = make_rows(400, 8)
    moved = replace(
        rows,
        vectors={
            **rows.vectors,
            "inputs.photo.embedding": rows.vectors["inputs.photo.embedding"] * np.float32(1.3) + np.float32(0.3),
        },
    )
    shifted = make_state(moved, frame)
    for plugin, metric in ((frechet.PLUGIN, "drift.frechet"), (kernel.PLUGIN, "drift.mmd2")):
        before = _by(list(plugin.measure(current, baseline, frame)), metric)
        after = _by(list(plugin.measure(shifted, baseline, frame)), metric)
        assert after["photo.embedding"].value > 10 * abs(before["photo.embedding"].value)
        assert after["note.embedding"].value < 3 * abs(before["note.embedding"].value) + 0.3
    assert (
        _by(list(frechet.PLUGIN.measure(shifted, baseline, frame)), "drift.frechet")["photo.embedding"].p_value < 1e-6
    )


def test_service_figures_are_not_drift(clean: Window) -> None:
    """Latency, energy and label delay depend on the machine and have figures of their own."""
    for plugin in (univariate.PLUGIN, evidently.PLUGIN):
        columns = {reading.attributes["column"] for reading in plugin.measure(*clean)}
        assert not columns & {"latency_s", "energy.joules", "labels.delay_s", "joules", "delay_s"}


def test_a_new_answer_is_seen_among_the_answers(clean: Window) -> None:
    current, baseline, frame = clean
    from auditor.core.state import CategoricalState

    answers = dict(current.categorical["output.label"].counts)
    first = min(answers)
    odd = CategoricalState({"refused": answers.pop(first), **answers})
    changed = replace(current, categorical={**current.categorical, "output.label": odd})
    found = _by(list(univariate.PLUGIN.measure(changed, baseline, frame)), "drift.jensen_shannon")[".output.label"]
    assert found.p_value < 1e-12
    assert found.facts["category"] in ("refused", first)


def test_evidently_draws_one_offline_page() -> None:
    drawn = evidently.PLUGIN.render(*make_window(60, 9))
    assert drawn is not None
    page = drawn.data.decode()
    assert drawn.extension == "html"
    assert drawn.made_by.name == "evidently"
    assert "inputs.photo.descriptors.brightness" in page
    assert 'src="http' not in page
    few = make_state(make_rows(5, 1))
    assert evidently.PLUGIN.render(few, few, Frame("digit-reader")) is None


HOSTILE = ("x</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(2)>", "a & b \"' `")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_and_values_from_outside_stand_escaped_in_the_page_of_evidently(hostile: str) -> None:
    rows = make_rows(60, 1)
    name = f"inputs.photo.descriptors.{hostile}"
    words = np.array([hostile if k % 3 else "b" for k in range(60)], object)
    rows = replace(
        rows,
        numeric={f"{name}.n": next(iter(rows.numeric.values()))},
        categorical={name: words, f"groups.{hostile}": words},
    )
    state = make_state(rows)
    drawn = evidently.PLUGIN.render(state, state, Frame(rows.model))
    assert drawn is not None
    page = drawn.data.decode()
    assert "&lt;" in page or "&amp; b" in page
    for raw in HOSTILE[:3]:
        assert raw not in page
    if "&" in hostile:
        assert hostile not in page


def test_a_sealed_page_allows_its_own_scripts_only() -> None:
    page = sealed(
        b"<!DOCTYPE html><html><head></head><body><script>\r\nlet a</script><script src=//x></script></body></html>"
    )
    policy = page.partition(b'content="')[2].partition(b'"')[0].decode()
    own = base64.b64encode(hashlib.sha256(b"\nlet a").digest()).decode()
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert f"'sha256-{own}'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert page.index(b"Content-Security-Policy") < page.index(b"<script>")
    assert sealed(b"<p>x").startswith(b"<meta charset")
