"""torch modules: hooks see calls, batches become records, and the module stays what it was."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record

torch = pytest.importorskip("torch", reason="torch is not installed")
Make = Callable[..., Any]


class Fusion(torch.nn.Module):
    """Two branches and a head; either input may be absent."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Tanh()
        )
        self.audio = torch.nn.Sequential(torch.nn.Linear(200, 6), torch.nn.ReLU(inplace=True))
        self.audio_head = torch.nn.Linear(6, 3)
        self.head = torch.nn.Linear(10, 3)

    def forward(self, photo: Any = None, clip: Any = None, scale: float = 1.0) -> Any:
        rows = len(clip if photo is None else photo)
        seen = torch.zeros(rows, 4) if photo is None else self.vision(photo)
        heard = torch.zeros(rows, 6) if clip is None else self.audio(clip)
        if clip is not None:
            self.audio_head(heard)
        return self.head(torch.cat([seen, heard], dim=1)) * scale


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return Fusion().eval()


PHOTOS = np.random.default_rng(0).random((4, 3, 9, 9), dtype=np.float32)
CLIPS = np.random.default_rng(1).standard_normal((4, 200)).astype(np.float32) * 0.1
INPUTS = {"photo": "image", "clip": {"modality": "audio", "rate": 8000}}


def tensors(rows: int = 4) -> tuple[Any, Any]:
    return torch.from_numpy(PHOTOS[:rows].copy()), torch.from_numpy(CLIPS[:rows].copy())


def by_name(record: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in record["inputs"]}


def form(entry: dict[str, Any]) -> dict[str, float]:
    """A tabular input's own columns."""
    return {name: value for name, value in entry["descriptors"].items() if name[0] == "x"}


def test_each_row_of_a_batch_is_a_record(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS, output="label", classes=["cat", "dog", "cow"])
    assert watched is model
    with torch.no_grad():
        expected = Fusion.forward(model, *tensors())
        result = watched(*tensors())
    assert torch.equal(result, expected)
    found = records(agent)
    assert len(found) == 4
    assert agent.stats()["seen"] == 4
    for record, row, photo in zip(found, result, PHOTOS, strict=True):
        parse_record(record)
        names = ["cat", "dog", "cow"]
        assert record["output"]["label"] == names[int(row.argmax())]
        assert record["output"]["scores"] == pytest.approx(row.tolist())
        luma = (photo * 255).round().transpose(1, 2, 0) @ [0.299, 0.587, 0.114] / 255
        inputs = by_name(record)
        assert inputs["photo"]["descriptors"]["brightness"] == pytest.approx(luma.mean(), abs=0.005)
        assert inputs["clip"]["descriptors"]["duration_s"] == pytest.approx(0.025)
    assert len({record["id"] for record in found}) == 4
    assert len({record["latency_s"] for record in found}) == 1


def test_late_and_hybrid_fusion_give_embeddings_by_branch(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    branches = {"photo": "vision", "clip": {"embedding": "audio", "scores": "audio_head"}, "fused": "head"}
    agent.watch(model, inputs=INPUTS, branches=branches)
    photos, clips = tensors()
    with torch.no_grad():
        result = model(photos, clips)
        heard = model.audio(clips)
        expected = {"photo": model.vision(photos), "clip": heard, "fused": result}
    found = records(agent)
    for index, record in enumerate(found[:4]):
        inputs = by_name(record)
        for name, values in expected.items():
            assert inputs[name]["embedding"] == pytest.approx(values[index].tolist(), abs=1e-6), name
        assert inputs["clip"]["scores"] == pytest.approx(model.audio_head(heard)[index].tolist(), abs=1e-6)
        assert inputs["fused"]["modality"] == "embedding"
        assert inputs["photo"]["encoder"].startswith("Fusion#")


def test_another_set_of_weights_is_another_encoder(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(model, inputs=INPUTS, branches={"photo": "vision"})
    other = copy.deepcopy(model)
    same = copy.deepcopy(model)
    with torch.no_grad():
        other.vision[0].weight.add_(0.1)
        for each in (other, same):
            agent.watch(each, inputs=INPUTS, branches={"photo": "vision"})
        for each in (model, same, other):
            each(tensors(1)[0])
    encoders = [by_name(record)["photo"]["encoder"] for record in records(agent)]
    assert encoders[0] == encoders[1] != encoders[2]
    named = make_agent(encoder="vision-7")
    named.watch(model, inputs=INPUTS, branches={"photo": "vision"})
    model(tensors(1)[0])
    assert by_name(records(named)[-1])["photo"]["encoder"] == "vision-7"


def test_an_absent_input_is_missing(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(model, inputs=INPUTS, branches={"photo": "vision", "clip": "audio"})
    photos, clips = tensors(2)
    model(photos)
    model(clip=clips, scale=2.0)
    found = [by_name(record) for record in records(agent)]
    assert [("missing" in row["photo"], "missing" in row["clip"]) for row in found] == [
        (False, True),
        (False, True),
        (True, False),
        (True, False),
    ]
    assert "embedding" not in found[2]["photo"]


def test_undeclared_inputs_are_inferred_only_where_their_type_tells(make_agent: Make, records: Any) -> None:
    class Odd(torch.nn.Module):
        def forward(self, form: Any, pixels: Any, tokens: Any, words: Any, flag: bool = True) -> Any:
            return form.sum(dim=1)

    agent = make_agent()
    odd = agent.watch(Odd())
    odd(
        torch.ones(2, 3), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 5, dtype=torch.long), ["one", "two"]
    )
    rows = [by_name(record) for record in records(agent)]
    assert {name: entry["modality"] for name, entry in rows[0].items() if "error" not in entry} == {
        "form": "tabular",
        "pixels": "image",
        "words": "text",
    }
    assert form(rows[0]["form"]) == {"x0": 1.0, "x1": 1.0, "x2": 1.0}
    assert rows[1]["tokens"]["error"] == "modality_unknown"
    assert agent.stats()["notes"] == {"modality_unknown": 2}


def test_a_single_mapping_is_taken_apart(make_agent: Make, records: Any) -> None:
    class OfBatch(torch.nn.Module):
        def forward(self, batch: Any) -> Any:
            return {"label": batch["form"].argmax(dim=1), "value": batch["form"].sum(dim=1)}

    agent = make_agent()
    model = agent.watch(OfBatch(), inputs={"form": "tabular", "note": "text", "clip": "audio"})
    model({"form": torch.eye(3), "note": ["a", "b", None]})
    found = records(agent)
    assert [record["output"]["label"] for record in found] == ["0", "1", "2"]
    assert [record["output"]["value"] for record in found] == [1.0, 1.0, 1.0]
    assert [sorted(name for name, entry in by_name(record).items() if entry.get("missing")) for record in found] == [
        ["clip"],
        ["clip"],
        ["clip", "note"],
    ]


def test_normalised_pixels_are_undone(make_agent: Make, records: Any) -> None:
    class Bright(torch.nn.Module):
        def forward(self, photo: Any) -> Any:
            return photo.mean(dim=(1, 2, 3))

    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    pixels = torch.full((2, 3, 8, 8), 0.5)
    normalised = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    agent = make_agent()
    agent.watch(Bright(), inputs={"photo": "image"}, pixels={"photo": (mean, std)})(normalised)
    agent.watch(Bright(), inputs={"photo": "image"})(normalised - 3)
    first, _, third, _ = records(agent)
    assert first["inputs"][0]["descriptors"]["brightness"] == pytest.approx(0.5, abs=0.005)
    assert third["inputs"][0]["error"] == "bad_range"
    assert first["output"]["value"] == pytest.approx(0.0, abs=1.0)


def test_without_batches_a_call_is_one_record(make_agent: Make, records: Any) -> None:
    class Sum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Identity()

        def forward(self, series: Any) -> Any:
            return self.body(series).sum()

    agent = make_agent()
    options = {"inputs": {"series": {"modality": "series", "rate": 10}}, "branches": {"series": "body"}, "batch": False}
    agent.watch(Sum(), **options)(torch.ones(50, 2))
    (record,) = records(agent)
    assert record["output"]["value"] == 100.0
    assert record["inputs"][0]["descriptors"]["length"] == 50
    assert record["inputs"][0]["embedding"] == [1.0, 1.0]


def test_extract_scores_and_groups_have_an_entry_for_each_row(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(
        model,
        inputs=INPUTS,
        extract=lambda logits: {
            "label": logits.argmax(dim=1),
            "scores": logits.softmax(dim=1),
            "inputs": {"photo": {"embedding": logits * 2, "encoder": "logits"}},
        },
        groups=lambda photo, clip: {"site": ["north", "south", None, "north"], "night": True},
    )
    with agent.context(id=["a", "b", "c", "d"], groups={"shift": torch.arange(4)}):
        result = model(*tensors())
    found = records(agent)
    assert [record["id"] for record in found] == ["a", "b", "c", "d"]
    assert [record["groups"] for record in found][1] == {"site": "south", "night": "true", "shift": "1"}
    assert found[2]["groups"]["site"] is None
    assert found[3]["output"]["scores"] == pytest.approx(result.softmax(dim=1)[3].tolist())
    assert by_name(found[3])["photo"]["embedding"] == pytest.approx((result * 2)[3].tolist())
    assert by_name(found[3])["photo"]["encoder"] == "logits"


def test_what_the_host_overwrites_was_copied_before(make_agent: Make, records: Any) -> None:
    class InPlace(torch.nn.Module):
        def forward(self, form: Any) -> Any:
            return form.mul_(0).sum(dim=1)

    agent = make_agent()
    buffer = torch.ones(2, 2)
    result = agent.watch(InPlace(), inputs={"form": "tabular"})(buffer)
    result.fill_(9)
    first, _ = records(agent)
    assert form(first["inputs"][0]) == {"x0": 1.0, "x1": 1.0}
    assert first["output"]["value"] == 0.0


def test_a_model_s_exception_is_its_own(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(model, inputs=INPUTS)
    photos, clips = tensors()
    with pytest.raises(RuntimeError, match="shapes") as raised:
        model(photos, clips[:, :7])
    assert "auditor" not in "".join(str(entry.path) for entry in raised.traceback)
    found = records(agent)
    assert [record["output"] for record in found] == [{"error": "RuntimeError"}] * 4
    try:
        raise KeyError("something the host is busy with")
    except KeyError:
        model(photos, clips)
    assert "error" not in records(agent)[-1]["output"]


def test_an_interrupt_leaves_nothing_behind(make_agent: Make, records: Any) -> None:
    class Interrupted(torch.nn.Module):
        calls = 0

        def forward(self, form: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            return form.sum(dim=1)

    agent = make_agent()
    model = agent.watch(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        model(torch.ones(1, 2))
    model(torch.ones(1, 2))
    found = records(agent)
    assert [record["output"] for record in found] == [{"error": "BaseException"}, {"value": 2.0}]


def test_nested_calls_are_counted_once(make_agent: Make, records: Any) -> None:
    class Recursive(torch.nn.Module):
        def forward(self, form: Any, depth: int = 2) -> Any:
            return self(form, depth - 1) if depth else form.sum(dim=1)

    agent = make_agent()
    agent.watch(Recursive())(torch.ones(3, 2))
    assert len(records(agent)) == 3


def test_the_module_is_unchanged(make_agent: Make, records: Any, model: Any) -> None:
    attributes, state = set(vars(model)), {name: value.clone() for name, value in model.state_dict().items()}
    agent = make_agent()
    agent.watch(model, inputs=INPUTS, branches={"photo": "vision"})
    assert type(model) is Fusion
    assert set(vars(model)) == attributes
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    expected = model(*tensors())
    gradient = torch.autograd.grad(expected.sum(), model.head.weight)[0]
    assert gradient.abs().sum() > 0
    agent.unwatch(model)
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    assert not model.vision._forward_hooks
    assert torch.equal(model(*tensors()), expected)
    assert len(records(agent)) == 4


def test_copies_and_pickles_are_plain_models(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(model, inputs=INPUTS, branches={"photo": "vision"})
    saved = io.BytesIO()
    torch.save(model, saved)
    saved.seek(0)
    expected = model(*tensors())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(saved, weights_only=False)):
        assert torch.equal(twin(*tensors()), expected)
        assert b"auditor" not in pickle.dumps(twin)
    assert len(records(agent)) == 4


def test_watching_again_replaces_the_first_watch_of_the_same_agent(make_agent: Make, records: Any, model: Any) -> None:
    agent, other = make_agent(), make_agent(name="other")
    for _ in range(3):
        agent.watch(model, inputs=INPUTS)
    other.watch(model, inputs=INPUTS)
    model(*tensors(1))
    agent.unwatch(model)
    model(*tensors(1))
    assert [record["model"]["name"] for record in records(agent)].count("reader") == 1
    assert other.flush(5)
    assert (agent.stats()["seen"], other.stats()["seen"]) == (1, 2)


def test_a_raising_hook_of_ours_never_reaches_the_host(make_agent: Make, model: Any, swallowed: Any) -> None:
    swallowed.expect()
    agent = make_agent()

    def broken(*args: Any) -> Any:
        raise ValueError("a bug of the deployment's")

    agent.watch(model, inputs=INPUTS, groups=broken, extract=broken, branches={"photo": "vision"})
    expected = Fusion.forward(model, *tensors())
    assert torch.equal(model(*tensors()), expected)
    agent._recorder.chooses = broken
    agent._recorder.bar = b"\x80" + b"\0" * 7
    assert torch.equal(model(*tensors()), expected)
    del agent._recorder.chooses
    agent._recorder.bar = None
    assert agent.flush(10)
    stats = agent.stats()
    assert stats["seen"] == 8
    assert stats["dropped"] == {"internal_error": 4}
    assert {"groups_unreadable", "answer_unreadable", "begin_failed"} <= set(stats["internal_errors"])


def test_only_chosen_rows_are_described_and_all_are_counted(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model = agent.watch(torch.nn.Linear(2, 1), inputs={"input": "tabular"})
    agent._recorder.set_rate(0.5)
    model(torch.arange(400.0).reshape(200, 2))
    model(torch.zeros(1, 2))
    found = records(agent)
    stats = agent.stats()
    assert stats["seen"] == 201
    assert 60 < len(found) < 140
    assert stats["dropped"] == {"sampled": 201 - len(found)}
    for record in found[:-1]:
        row = int(record["id"].rpartition("-")[2])
        if record["id"].count("-") == 5:  # a row of the batch
            assert form(record["inputs"][0]) == {"x0": 2.0 * row, "x1": 2.0 * row + 1}
        assert record["sampling"] == 0.5


def test_a_batch_larger_than_the_queue_is_described_as_far_as_there_is_room(
    make_agent: Make, records: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_AGENT_QUEUE_BYTES", str(8 << 20))
    agent = make_agent(describe="budget")
    agent._recorder.limit_bytes = 8 << 20
    agent._recorder.set_rate = lambda rate: None
    model = agent.watch(torch.nn.Flatten(), inputs={"input": "image"}, extract=lambda result: {})
    model(torch.zeros(40, 3, 512, 256))  # 1.5 MiB a row
    found = records(agent)
    assert 3 <= len(found) <= 5
    assert agent.stats()["dropped"] == {"queue_bytes": 40 - len(found)}
    patient = make_agent()
    patient._recorder.limit_bytes = 8 << 20
    patient.watch(model, inputs={"input": "image"}, extract=lambda result: {})
    agent.unwatch(model)
    model(torch.zeros(40, 3, 512, 256))
    assert patient.flush(20)
    assert patient.stats()["described"] == 40


def test_threads_have_their_own_calls(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(model, inputs=INPUTS, branches={"photo": "vision"})
    expected = model.vision(torch.from_numpy(PHOTOS))

    def work(row: int) -> None:
        for _ in range(10):
            with agent.context(id=f"{row}"), torch.no_grad():
                model(torch.from_numpy(PHOTOS[row : row + 1]))

    threads = [threading.Thread(target=work, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(agent)
    assert len(found) == 40
    for record in found:
        assert by_name(record)["photo"]["embedding"] == pytest.approx(expected[int(record["id"])].tolist(), abs=1e-6)


def test_unwatching_while_another_thread_calls_breaks_no_call(make_agent: Make) -> None:
    class Slow(torch.nn.Module):
        def forward(self, form: Any) -> Any:
            inside.set()
            assert leave.wait(10)
            return form.sum(dim=1)

    inside, leave = threading.Event(), threading.Event()
    agent = make_agent()
    model = agent.watch(Slow())
    model.register_forward_pre_hook(lambda module, args: None)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(model(torch.ones(1, 2))))
    thread.start()
    assert inside.wait(10)
    agent.unwatch(model)
    leave.set()
    thread.join()
    assert results[0].item() == 2.0
    assert all("auditor" not in repr(hook) for hook in model._forward_hooks.values())
    leave.set()
    model(torch.ones(1, 2))
    assert agent.flush(5)
    assert agent.stats()["seen"] <= 1


def test_half_precision_and_inference_mode(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model = agent.watch(torch.nn.Linear(3, 2).to(torch.bfloat16), output="label", branches={"out": ""})
    with torch.inference_mode():
        model(torch.ones(2, 3, dtype=torch.bfloat16))
    first, _ = records(agent)
    assert form(first["inputs"][0]) == {"x0": 1.0, "x1": 1.0, "x2": 1.0}
    assert len(first["output"]["scores"]) == 2


def test_a_tensor_without_data_is_unreadable(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model = agent.watch(torch.nn.Identity(), inputs={"input": "embedding"}, extract=lambda result: {})
    model(torch.ones(2, 300, device="meta"))
    assert [record["inputs"][0]["error"] for record in records(agent)] == ["unreadable", "unreadable"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_compiling_and_exporting_see_no_hook(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    agent.watch(model, inputs=INPUTS, branches={"photo": "vision"})
    expected = Fusion.forward(model, *tensors())
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(*tensors()), expected)
    exported = torch.export.export(model, tensors())
    assert torch.equal(exported.module()(*tensors()), expected)
    assert agent.stats()["seen"] == 0
    agent.watch(compiled, inputs=INPUTS)
    assert torch.equal(compiled(*tensors()), expected)
    assert len(records(agent)) == 4
    torch._dynamo.reset()


def test_options_that_name_nothing_are_refused(make_agent: Make, model: Any) -> None:
    agent = make_agent()
    for options, code in (
        ({"branches": {"photo": "vison"}}, "unknown_branch"),
        ({"branches": {"photo": {"vector": "vision"}}}, "bad_branch"),
        ({"inputs": {"picture": "image"}}, "unknown_input"),
        ({"pixels": {"photo": 0.5}}, "bad_pixels"),
        ({"processor": 1}, "unknown_option"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            agent.watch(model, **options)
        assert refused.value.code == code
        assert refused.value.fix
    assert not model._forward_hooks


def test_an_unwatched_model_can_go(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model = agent.watch(torch.nn.Linear(2, 1), branches={"out": ""})
    model(torch.ones(1, 2))
    gone = weakref.ref(model)
    agent.unwatch(model)
    records(agent)
    del model
    gc.collect()
    assert gone() is None
