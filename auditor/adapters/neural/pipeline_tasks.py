"""The tasks of Hugging Face pipelines: which argument is the data, what an item of it shows, what a result says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from auditor.core.input_names import name_parts, payload_of
from auditor.core.messages import MEDIA, Raw, from_address, messages_of

IMAGES = frozenset(
    {
        *("image-classification", "zero-shot-image-classification", "object-detection", "zero-shot-object-detection"),
        *("image-segmentation", "depth-estimation", "image-feature-extraction", "image-to-image", "image-to-text"),
        *("mask-generation", "keypoint-matching"),
    }
)
SOUNDS = frozenset({"automatic-speech-recognition", "audio-classification", "zero-shot-audio-classification"})
CHATS = frozenset({"image-text-to-text", "any-to-any"})
WRITERS = frozenset({"text-generation", "text2text-generation"})
QUESTIONS = frozenset({"visual-question-answering", "document-question-answering"})
_DATA = (
    *("inputs", "image", "images", "audios", "videos", "text_inputs", "sequences", "text", "texts", "documents"),
    *("args.0", "arg.0"),
)
"""What pipelines call the argument with their data."""
_TEXTS = ("generated_text", "summary_text", "translation_text", "text")


class Part(NamedTuple):
    """One input of an item."""

    value: Any
    modality: str
    rate: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One pipeline's ways.

    Attributes
    ----------
    names : tuple of str
        Inputs that an item can have; empty: any.
    data : callable
        `data(arguments) -> (data, what else was said)`.
    is_many : callable
        Whether the data is a list of items.
    shown : callable
        `shown(item, said) -> {name: Part}`.
    answer : callable
        `answer(result, said) -> parts of the answer` of one item.
    """

    names: tuple[str, ...]
    data: Callable[[Mapping[str, Any]], tuple[Any, Mapping[str, Any]]]
    is_many: Callable[[Any], bool]
    shown: Callable[[Any, Mapping[str, Any]], dict[str, Part]]
    answer: Callable[[Any, Mapping[str, Any]], dict[str, Any]]


def task_of(pipeline: Any) -> Task:
    """How a pipeline is read; one of a task that is not known here as a text pipeline without known answers."""
    task = str(pipeline.task)
    classes = _class_names(pipeline)

    def answer(result: Any, said: Mapping[str, Any]) -> dict[str, Any]:
        return _answer(result, said, classes)

    if task in CHATS:
        return Task((), _chat_data, _many_chats, lambda item, said: _chat(item), _chat_answer)
    if task in SOUNDS:
        rate = getattr(pipeline.feature_extractor, "sampling_rate", None)
        return Task(("audio", "labels"), _first, _is_list, lambda item, said: _sound(item, rate, said), answer)
    if task in IMAGES:
        return Task(("image", "labels"), _first, _is_list, _image, answer)
    if task == "video-classification":
        return Task(("video",), _first, _is_list, lambda item, said: {"video": Part(item, "video")}, answer)
    if task in QUESTIONS:
        return Task(("image", "question"), _question_data, _is_list, lambda item, said: _question(item), answer)
    name = "prompt" if task in WRITERS else "text"
    return Task((), _first, _is_list, lambda item, said: _text(item, said, name), answer)


def _class_names(pipeline: Any) -> list[str]:
    names = getattr(pipeline.model.config, "id2label", None) or {}
    return [str(names[index]) for index in sorted(names)]


# -- data: the argument with the items ----------------------------------------------------------------------------------


def _first(bound: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The argument with the data, under whichever of its names."""
    return next((bound[name] for name in _DATA if bound.get(name) is not None), None), bound


def _chat_data(bound: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    images, text = bound.get("images"), bound.get("text")
    if images is None or text is None:
        return (text if images is None else images), bound
    if isinstance(text, list) and isinstance(images, list) and len(text) == len(images) > 1:
        return [{"images": image, "text": words} for image, words in zip(images, text, strict=True)], bound
    return {"images": images, "text": text}, bound


def _question_data(bound: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    image, question = bound.get("image"), bound.get("question")
    return (image if question is None else {"image": image, "question": question}), bound


def _is_list(data: Any) -> bool:
    return isinstance(data, list)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value and "content" in value


def _many_chats(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and bool(data) and not _is_message(data[0])


# -- items --------------------------------------------------------------------------------------------------------------


def _image(item: Any, said: Mapping[str, Any]) -> dict[str, Part]:
    value = item.get("image") if isinstance(item, Mapping) else item
    return {"image": Part(value, "image"), **_labels(said)}


def _sound(item: Any, rate: float | None, said: Mapping[str, Any]) -> dict[str, Part]:
    value = item
    if isinstance(item, Mapping):
        value = next((item[name] for name in ("raw", "array", "path") if item.get(name) is not None), None)
        rate = item.get("sampling_rate", rate)
    if isinstance(value, (str, bytes)):
        rate = None
    return {"audio": Part(value, "audio", None if rate is None else float(rate)), **_labels(said)}


def _labels(said: Mapping[str, Any]) -> dict[str, Part]:
    """Candidates are an input like any other: which classes are asked for may drift."""
    labels = said.get("candidate_labels")
    if isinstance(labels, str):
        return {"labels": Part(labels, "text")}
    return {"labels": Part(", ".join(map(str, labels)), "text")} if labels else {}


def _text(item: Any, said: Mapping[str, Any], name: str) -> dict[str, Part]:
    if isinstance(item, Mapping):
        return {str(name): Part(value, "text") for name, value in item.items() if isinstance(value, str)}
    if isinstance(item, (list, tuple)) and item and _is_message(item[0]):
        return _chat(item)
    return {name: Part(item if isinstance(item, str) else None, "text"), **_labels(said)}


def _question(item: Any) -> dict[str, Part]:
    found = item if isinstance(item, Mapping) else {}
    return {"image": Part(found.get("image"), "image"), "question": Part(found.get("question"), "text")}


def _chat(item: Any) -> dict[str, Part]:
    """The inputs of a conversation, or of a prompt with its media."""
    entries = getattr(item, "messages", item)
    if isinstance(entries, (list, tuple)) and entries and _is_message(entries[0]):
        conversation = messages_of([{**entry, "content": _contents(entry)} for entry in entries])
    elif isinstance(item, Mapping):
        images = item.get("images", item.get("image"))
        pictures = images if isinstance(images, (list, tuple)) else [images]
        words = [Raw("text", item["text"])] if isinstance(item.get("text"), str) else []
        conversation = [("user", [*words, *(_medium("image", picture) for picture in pictures)])]
    else:
        conversation = [("user", [Raw("text", item) if isinstance(item, str) else _medium("image", item)])]
    found = {}
    for part in name_parts(conversation)[0]:
        value, error = payload_of(part)
        found[part.name] = Part(value, part.modality, error=error)
    return found


def _contents(message: Mapping[str, Any]) -> list[Any]:
    """The parts of a message; media that the pipeline reads from this machine are read from there as well."""
    content = message["content"]
    return [_local(part) for part in ([content] if isinstance(content, str) else content or ())]


def _local(part: Any) -> Any:
    if not isinstance(part, Mapping) or str(part.get("type")) not in MEDIA:
        return part
    kind = part["type"]
    places = (part.get(name) for name in (kind, "path", "url"))
    return next((_medium(kind, place) for place in places if place is not None), part)


def _medium(modality: str, value: Any) -> Raw:
    """A file of this machine by its path, an address, or a decoded payload; None is an input that is missing."""
    if isinstance(value, str) and ("://" in value[:16] or value.startswith("data:")):
        return from_address(modality, value)
    return Raw(modality, value)


# -- answers ------------------------------------------------------------------------------------------------------------


def _answer(result: Any, said: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Of classifiers the likeliest class, with scores in an order that does not change from call to call; of what
    writes, the text.
    """
    labels = said.get("candidate_labels")
    order = [str(label) for label in labels] if isinstance(labels, (list, tuple)) else list(classes)
    if isinstance(labels, str):
        order = [label.strip() for label in labels.split(",")]
    if isinstance(result, Mapping):
        if "labels" in result and "scores" in result:  # zero-shot-classification
            return _ranked(dict(zip(result["labels"], result["scores"], strict=False)), order)
        text = next((result[name] for name in _TEXTS if isinstance(result.get(name), str)), None)
        if text is not None:
            return {"text": text}
        return _ranked({result["label"]: result["score"]}, order) if {"label", "score"} <= result.keys() else {}
    if isinstance(result, (list, tuple)) and result and isinstance(result[0], Mapping):
        first = result[0]
        if "box" in first or "mask" in first or "entity" in first or "entity_group" in first:
            return {"value": float(len(result))}  # how many things were found
        if {"label", "score"} <= first.keys():
            return _ranked({entry["label"]: entry["score"] for entry in result}, order)
        if {"answer", "score"} <= first.keys():
            return {"label": first["answer"]}
        return _chat_answer(result, said)
    return {}


def _ranked(scores: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    known = {str(label): float(score) for label, score in scores.items() if score is not None}
    if not known:
        return {}
    found: dict[str, Any] = {"label": max(known, key=lambda label: known[label])}
    if len(order) > 1 and set(order) == set(known):
        found["scores"] = [known[label] for label in order]
    return found


def _chat_answer(result: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """The new text: what a prompt is followed by, or what the assistant said last."""
    while isinstance(result, (list, tuple)) and result:
        result = result[0]
    if not isinstance(result, Mapping):
        return {}
    text = next((result[name] for name in _TEXTS if result.get(name) is not None), None)
    if isinstance(text, (list, tuple)) and text and _is_message(text[-1]):
        words = [part if isinstance(part, str) else part.get("text") for part in _contents(text[-1])]
        text = "".join(word for word in words if isinstance(word, str))
    prompt = result.get("input_text")
    if isinstance(text, str) and isinstance(prompt, str) and text.startswith(prompt):
        text = text[len(prompt) :]
    return {"text": text} if isinstance(text, str) else {}
