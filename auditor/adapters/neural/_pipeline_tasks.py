"""The tasks of Hugging Face pipelines: which argument is the data, what an item of it shows, what a result says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

IMAGES = frozenset(
    {
        *("image-classification", "zero-shot-image-classification", "object-detection", "zero-shot-object-detection"),
        *("image-segmentation", "depth-estimation", "image-feature-extraction", "image-to-image", "image-to-text"),
        *("mask-generation", "keypoint-matching"),
    }
)
SOUNDS = frozenset({"automatic-speech-recognition", "audio-classification", "zero-shot-audio-classification"})
CHATS = frozenset({"image-text-to-text", "any-to-any"})
QUESTIONS = frozenset({"visual-question-answering", "document-question-answering"})
_MOST_IMAGES = 8
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
        names = ("text", "image", *(f"image-{number}" for number in range(2, _MOST_IMAGES + 1)))
        return Task(names, _chat_data, _many_chats, lambda item, said: _chat(item), _chat_answer)
    if task in SOUNDS:
        rate = getattr(pipeline.feature_extractor, "sampling_rate", None)
        return Task(("audio", "labels"), _first, _is_list, lambda item, said: _sound(item, rate, said), answer)
    if task in IMAGES:
        return Task(("image", "labels"), _first, _is_list, _image, answer)
    if task == "video-classification":
        return Task(("video",), _first, _is_list, lambda item, said: {"video": Part(item, "video")}, answer)
    if task in QUESTIONS:
        return Task(("image", "question"), _question_data, _is_list, lambda item, said: _question(item), answer)
    return Task((), _first, _is_list, _text, answer)


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


def _text(item: Any, said: Mapping[str, Any]) -> dict[str, Part]:
    if isinstance(item, Mapping):
        return {str(name): Part(value, "text") for name, value in item.items() if isinstance(value, str)}
    if isinstance(item, (list, tuple)) and item and _is_message(item[0]):
        return _chat(item)
    return {"text": Part(item if isinstance(item, str) else None, "text"), **_labels(said)}


def _question(item: Any) -> dict[str, Part]:
    found = item if isinstance(item, Mapping) else {}
    return {"image": Part(found.get("image"), "image"), "question": Part(found.get("question"), "text")}


def _chat(item: Any) -> dict[str, Part]:
    """A prompt with its pictures; of a conversation the last thing the user said, and all pictures."""
    messages = getattr(item, "messages", item)
    if isinstance(messages, (list, tuple)) and messages and _is_message(messages[0]):
        images = [part for message in messages for part in map(_picture, _contents(message)) if part is not None]
        users = [message for message in messages if message["role"] == "user"] or list(messages)
        words = [part if isinstance(part, str) else part.get("text") for part in _contents(users[-1])]
        text = "\n".join(word for word in words if isinstance(word, str))
        return {"text": Part(text or None, "text"), **_pictures(images)}
    if isinstance(item, Mapping):
        images = item.get("images", item.get("image"))
        return {"text": Part(item.get("text"), "text"), **_pictures(images if isinstance(images, list) else [images])}
    return {"text": Part(item, "text")} if isinstance(item, str) else _pictures([item])


def _contents(message: Mapping[str, Any]) -> Sequence[Any]:
    content = message["content"]
    return [content] if isinstance(content, str) else list(content or ())


def _picture(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in ("image", "image_url"):
        return None
    return next((part[name] for name in ("image", "url", "path", "base64") if part.get(name) is not None), None)


def _pictures(images: Sequence[Any]) -> dict[str, Part]:
    names = ["image", *(f"image-{number}" for number in range(2, _MOST_IMAGES + 1))]
    return {name: Part(image, "image") for name, image in zip(names, images, strict=False)} or {
        "image": Part(None, "image")
    }


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
