"""Every descriptor plugin keeps the public contract, on values it knows and on values that nobody can describe."""

import io
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auditor import registry
from auditor.core.errors import DescribeError
from auditor.core.gate import parse_record
from auditor.core.record import Input
from auditor.testing import check_descriptor, make_record
from auditor.testing.checks import check_figures

RNG = np.random.default_rng(5)
EXAMPLES = {
    "image": [
        RNG.integers(0, 256, (28, 28), dtype=np.uint8),
        RNG.integers(0, 256, (300, 500, 3), dtype=np.uint8),
        RNG.integers(0, 256, (3, 40, 50), dtype=np.uint8),
        RNG.random((20, 20, 4)),
        RNG.random((20, 20)) > 0.5,
        RNG.integers(0, 65536, (20, 20), dtype=np.uint16),
        np.zeros((1, 1), np.uint8),
        np.full((17, 17, 3), 255, np.uint8),
    ],
    "audio": [
        (RNG.normal(0, 0.1, 8000), 8000),
        (RNG.integers(-3000, 3000, (4000, 2), dtype=np.int16), 16000),
        (np.zeros(100, np.float32), 8000),
        (np.ones(1), 44100),
        ({"array": RNG.normal(0, 0.1, 800), "sampling_rate": 8000}, None),
        ([0.0, 0.1, -0.1], 8000),
    ],
    "text": [
        "A small dog runs across the wet street.",
        "",
        " \n\t",
        "ÄÖÜ ß",
        "日本語です。",
        "😀" * 10,
        "\ud800",
        b"plain",
    ],
    "tabular": [
        {"age": 31, "sex": "f", "smoker": True, "weight": None, "height": float("nan"), "note": "x" * 500},
        {},
        np.arange(4.0),
        [1, "a", None],
    ],
    "video": [
        (RNG.integers(0, 256, (5, 20, 20), dtype=np.uint8), 25.0),
        (RNG.integers(0, 256, (3, 70, 90, 3), dtype=np.uint8), None),
        ([np.zeros((8, 8), np.uint8)] * 3, None),
    ],
    "series": [
        (RNG.normal(size=200), 10.0),
        (RNG.normal(size=(200, 3)), 10.0),
        (np.full(5, np.nan), 1.0),
        ({"t": np.arange(50) / 5, "x": RNG.normal(size=50)}, None),
        ([1, 2, 3], 1),
    ],
    "point_cloud": [RNG.normal(size=(100, 3)), RNG.normal(size=(100, 4)), np.empty((0, 4)), np.full((3, 3), np.nan)],
    "embedding": [RNG.normal(size=64), RNG.normal(size=(1, 8)).astype(np.float32), [0.0, 1.0], np.array([np.nan, 1.0])],
}


def plugin(modality):
    return registry.load("descriptors", modality)


def test_there_is_one_for_each_modality():
    assert set(EXAMPLES) <= set(registry.modalities())
    assert all(plugin(name).modality == name for name in registry.modalities())


@pytest.mark.parametrize("modality", EXAMPLES)
def test_contract(modality):
    check_descriptor(plugin(modality), EXAMPLES[modality], rate=8000.0)


@pytest.mark.parametrize("modality", EXAMPLES)
def test_declared_columns_come_for_every_value(modality):
    names = [column.name for column in plugin(modality).columns]
    for example in EXAMPLES[modality]:
        value, rate = example if isinstance(example, tuple) else (example, None)
        figures = plugin(modality).describe(value, rate=rate)
        if modality == "tabular":
            assert set(names) <= set(figures)
        else:
            assert sorted(figures) == sorted(names)


@pytest.mark.parametrize("modality", EXAMPLES)
def test_figures_pass_the_gate_of_records(modality):
    """What a descriptor yields is what the record's contract takes."""
    value = EXAMPLES[modality][0]
    value, rate = value if isinstance(value, tuple) else (value, None)
    entry = Input(name="x", modality=modality, descriptors=plugin(modality).describe(value, rate=rate))
    record = make_record(inputs=(entry,))
    assert parse_record(record.as_json()) == record


# -- hostile ------------------------------------------------------------------------------------------------------------

ARRAYS = hnp.arrays(
    dtype=st.sampled_from(
        [
            np.uint8,
            np.int16,
            np.int64,
            np.uint16,
            np.float16,
            np.float32,
            np.float64,
            np.bool_,
            np.complex64,
            np.longdouble,
        ]
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.complex_numbers(),
)
THINGS = st.one_of(
    ARRAYS,
    SCALARS,
    st.lists(SCALARS, max_size=6),
    st.dictionaries(
        st.one_of(st.text(max_size=5), st.sampled_from(["t", "x", "array", "raw"])), SCALARS | ARRAYS, max_size=6
    ),
)
RATES = st.one_of(st.none(), st.floats(), st.integers(), st.just("8000"), st.floats(1, 1e5))


def figures_or_refusal(modality, value, rate):
    """The figures, checked; None for a refusal with a code. Anything else, warnings among it, fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            figures = dict(plugin(modality).describe(value, rate=rate))
        except DescribeError as error:
            refusal = error
        else:
            refusal = None
    if refusal is not None:
        assert refusal.code.isidentifier()
        assert refusal.message
        return None
    check_figures(plugin(modality), figures)
    return figures


@pytest.mark.parametrize("modality", EXAMPLES)
@settings(max_examples=60, derandomize=True, deadline=None)
@given(value=THINGS, rate=RATES)
def test_anything_gives_figures_or_a_refusal(modality, value, rate):
    figures_or_refusal(modality, value, rate)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(text=st.text(max_size=400) | st.text("aA1 .@:-+()DE'日é", max_size=400))
def test_any_text(text):
    assert figures_or_refusal("text", text, None) is not None


SHAPES = {
    "image": [(9, 7), (20, 18, 3), (1, 1, 4)],
    "audio": [(1,), (300,), (90, 2)],
    "series": [(1,), (2,), (90,), (40, 3)],
    "video": [(2, 5, 6), (3, 17, 18, 3)],
    "point_cloud": [(1, 3), (30, 4)],
    "embedding": [(1,), (24,)],
}


@pytest.mark.parametrize("modality", SHAPES)
@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.data())
def test_right_shapes_with_any_values(modality, data):
    shape = data.draw(st.sampled_from(SHAPES[modality]))
    kind = data.draw(st.sampled_from([np.uint8, np.int16, np.float32, np.float64]))
    value = data.draw(hnp.arrays(kind, shape, fill=hnp.from_dtype(np.dtype(kind))))
    figures_or_refusal(modality, value, 100.0)


HUGE = {
    "image": ((60_000, 60_000, 3), np.uint8),
    "audio": ((2_000_000_000,), np.int16),
    "video": ((20_000, 2160, 3840, 3), np.uint8),
    "series": ((1_000_000_000, 4), np.float32),
    "point_cloud": ((1_000_000_000, 4), np.float32),
}


@pytest.mark.parametrize("modality", HUGE)
def test_work_is_bounded_whatever_the_size(modality):
    """Arrays of gigabytes (that repeat one value, so that they fit) cost no more than a moment and little memory."""
    shape, kind = HUGE[modality]
    value = np.broadcast_to(np.array(1, kind), shape)
    started = time.process_time()
    tracemalloc.start()
    figures_or_refusal(modality, value, 1000.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - started < 4
    assert peak < 200e6


def encoded():
    """A small file of each kind that is decoded here."""
    image = pytest.importorskip("PIL.Image")
    soundfile = pytest.importorskip("soundfile")
    files = {}
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF"):
        out = io.BytesIO()
        image.fromarray(RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(out, kind)
        files[kind] = ("image", out.getvalue())
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        out = io.BytesIO()
        soundfile.write(out, RNG.normal(0, 0.1, 4000), 8000, format=kind)
        files[kind] = ("audio", out.getvalue())
    out = io.BytesIO()
    np.save(out, RNG.normal(size=(20, 4)))
    files["NPY"] = ("point_cloud", out.getvalue())
    return files


def test_cut_and_damaged_files_give_figures_or_a_refusal():
    for modality, data in encoded().values():
        assert figures_or_refusal(modality, data, None) is not None
        for cut in range(0, len(data), max(1, len(data) // 12)):
            figures_or_refusal(modality, data[:cut], None)
        for _ in range(12):
            damaged = bytearray(data)
            for place in RNG.integers(0, len(data), 4):
                damaged[place] = RNG.integers(0, 256)
            figures_or_refusal(modality, bytes(damaged), None)
