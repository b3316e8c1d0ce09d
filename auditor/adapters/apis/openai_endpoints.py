"""What OpenAI's endpoints, and all that imitate them, take and give; one reader for each.

Bodies are mappings; answers are the client library's objects or the same thing as mappings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auditor.adapters.parts import MOST_PARTS, from_file
from auditor.core.input_names import Part, name_parts, number_parts
from auditor.core.messages import Message, Raw, from_address, get, messages_of

Body = Mapping[str, Any]


class Endpoint:
    """Base of the readers: `args` is the request's options, with `json_data` and `files`."""

    def parts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        return name_parts(self.messages(_body(args), list(_files(args))))

    def model(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        model = _body(args).get("model")
        return model if isinstance(model, str) else None

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {str(name): value for name, value in _body(args).items()}

    def version(self, result: Any) -> str | None:
        model = get(result, "model")
        return model if isinstance(model, str) and model else None

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        """(role, parts) pairs, oldest first."""
        return []

    def answer(self, result: Any) -> dict[str, Any]:
        return {}

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        return {}

    def speaks(self, item: Any) -> bool:
        """Whether a stream's item carries something of the answer (and not only its head)."""
        return True


class Chat(Endpoint):
    """/chat/completions"""

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        return messages_of(body.get("messages"))

    def answer(self, result: Any) -> dict[str, Any]:
        choice = next(iter(get(result, "choices") or ()), None)
        message = get(choice, "message")
        sound = get(message, "audio")
        text = _joined(get(message, "content")) or get(sound, "transcript")
        finish, refusal = get(choice, "finish_reason"), get(message, "refusal")
        return {
            "text": text if text is not None else refusal,
            "finish": finish,
            "refused": bool(refusal) or finish == "content_filter",
            "tokens": tokens(get(result, "usage")),
            "generated": [Raw("audio", get(sound, "data"), "base64")] if get(sound, "data") else None,
        }

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        deltas = [get(choice, "delta") for choice in _first_choices(items)]
        texts = [text for delta in deltas if isinstance(text := get(delta, "content"), str)]
        refusals = [text for delta in deltas if isinstance(text := get(delta, "refusal"), str)]
        return _ended(items, texts or refusals, refused=bool(refusals))

    def speaks(self, item: Any) -> bool:
        return any(get(get(choice, "delta"), "content") for choice in get(item, "choices") or ())


class Completions(Endpoint):
    """/completions"""

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        return [("user", _texts(body.get("prompt")))]

    def answer(self, result: Any) -> dict[str, Any]:
        return self.stream_answer([result])

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        return _ended(items, [get(choice, "text") or "" for choice in _first_choices(items)])


class Responses(Endpoint):
    """/responses"""

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        instructions = body.get("instructions")
        found: list[Message] = [("system", [Raw("text", instructions)])] if isinstance(instructions, str) else []
        return [*found, *messages_of(body.get("input"))]

    def answer(self, result: Any) -> dict[str, Any]:
        parts: list[Any] = []
        made: list[Raw] = []
        for item in get(result, "output") or ():
            kind = get(item, "type")
            if kind == "message":
                parts += get(item, "content") or ()
            elif kind == "image_generation_call" and get(item, "result"):
                made.append(Raw("image", get(item, "result"), "base64"))
        said = [text for part in parts if isinstance(text := get(part, "text"), str)]
        refusals = [text for part in parts if isinstance(text := get(part, "refusal"), str)]
        finish = get(get(result, "incomplete_details"), "reason") or get(result, "status")
        return {
            "text": "".join(said or refusals) if said or refusals else None,
            "finish": finish,
            "refused": bool(refusals) or finish == "content_filter",
            "tokens": tokens(get(result, "usage")),
            "generated": made or None,
        }

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        for item in reversed(items):
            if get(item, "type") in ("response.completed", "response.incomplete", "response.failed"):
                return self.answer(get(item, "response"))
        return {"text": "".join(get(item, "delta") for item in items if self.speaks(item)) or None}

    def speaks(self, item: Any) -> bool:
        return get(item, "type") == "response.output_text.delta" and isinstance(get(item, "delta"), str)

    def version(self, result: Any) -> str | None:
        return super().version(get(result, "response") or result)


class Embeddings(Endpoint):
    """/embeddings: each text with its vector."""

    def parts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        return number_parts(_texts(_body(args).get("input")))

    def answer(self, result: Any) -> dict[str, Any]:
        vectors = [get(entry, "embedding") for entry in get(result, "data") or ()]
        return {"vectors": vectors[:MOST_PARTS], "tokens": tokens(get(result, "usage"))}


class Images(Endpoint):
    """/images/generations, /images/edits, /images/variations: the pictures are inputs called `generated`."""

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        prompt = [Raw("text", body["prompt"])] if isinstance(body.get("prompt"), str) else []
        return [("user", prompt + [from_file(value, "image") for _, value in files])]

    def answer(self, result: Any) -> dict[str, Any]:
        return {
            "generated": [_picture(entry) for entry in get(result, "data") or ()] or None,
            "tokens": tokens(get(result, "usage")),
        }

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        done = [item for item in items if str(get(item, "type")).endswith(".completed")]
        return {
            "generated": [_picture(item) for item in done] or None,
            "tokens": tokens(get(done[-1], "usage")) if done else None,
        }


class Transcriptions(Endpoint):
    """/audio/transcriptions and /audio/translations."""

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        hint = [("system", [Raw("text", body["prompt"])])] if isinstance(body.get("prompt"), str) else []
        return [*hint, ("user", [from_file(value, "audio") for _, value in files])]

    def answer(self, result: Any) -> dict[str, Any]:
        text = result if isinstance(result, str) else get(result, "text")
        return {"text": text if isinstance(text, str) else None, "tokens": tokens(get(result, "usage"))}

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        for item in reversed(items):
            if get(item, "type") == "transcript.text.done":
                return self.answer(item)
        return {"text": "".join(get(item, "delta") or "" for item in items) or None}

    def speaks(self, item: Any) -> bool:
        return bool(get(item, "delta"))


class Speech(Endpoint):
    """/audio/speech: the sound is an input called `generated-audio`."""

    def messages(self, body: Body, files: list[tuple[str, Any]]) -> list[Message]:
        how = [("system", [Raw("text", body["instructions"])])] if isinstance(body.get("instructions"), str) else []
        return [*how, ("user", _texts(body.get("input")))]

    def answer(self, result: Any) -> dict[str, Any]:
        sound = get(result, "content")
        return {"generated": [Raw("audio", sound)] if isinstance(sound, bytes) else None}


CHAT = Chat()
ENDPOINTS: dict[str, Endpoint] = {
    "/chat/completions": CHAT,
    "/completions": Completions(),
    "/responses": Responses(),
    "/embeddings": Embeddings(),
    "/images/generations": Images(),
    "/images/edits": Images(),
    "/images/variations": Images(),
    "/audio/transcriptions": Transcriptions(),
    "/audio/translations": Transcriptions(),
    "/audio/speech": Speech(),
}


def _first_choices(items: list[Any]) -> list[Any]:
    """The first of the choices of each item."""
    return [choice for item in items for choice in list(get(item, "choices") or ())[:1]]


def _ended(items: list[Any], texts: list[str], *, refused: bool = False) -> dict[str, Any]:
    """A text in pieces, with the last finish reason and the last count of tokens in the items."""
    choices = reversed(_first_choices(items))
    finish = next((found for choice in choices if (found := get(choice, "finish_reason"))), None)
    return {
        "text": "".join(texts) if texts else None,
        "finish": finish,
        "refused": refused or finish == "content_filter",
        "tokens": next((found for item in reversed(items) if (found := tokens(get(item, "usage")))), None),
    }


def tokens(usage: Any) -> dict[str, int] | None:
    """{input, output}, under either pair of names."""
    pairs = (("input", ("prompt_tokens", "input_tokens")), ("output", ("completion_tokens", "output_tokens")))
    found = {key: count for key, names in pairs for name in names if isinstance(count := get(usage, name), int)}
    return found or None


def _texts(said: Any) -> list[Raw]:
    """A text or a list of them; numbers are tokens, which only the model's tokenizer reads."""
    if isinstance(said, str):
        return [Raw("text", said)]
    entries = said if isinstance(said, (list, tuple)) else ()
    if entries and isinstance(entries[0], int):
        return [Raw("text", None, "tokenised")]
    return [Raw("text", entry) if isinstance(entry, str) else Raw("text", None, "tokenised") for entry in entries]


def _joined(said: Any) -> str | None:
    if said is None or isinstance(said, str):
        return said
    return "".join(get(part, "text") or "" for part in said) or None


def _picture(entry: Any) -> Raw:
    encoded = get(entry, "b64_json")
    return Raw("image", encoded, "base64") if encoded else from_address("image", get(entry, "url"))


def _body(args: tuple[Any, ...]) -> Body:
    body = get(args[0], "json_data")
    return body if isinstance(body, Mapping) else {}


def _files(args: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    files = get(args[0], "files")
    yield from files.items() if isinstance(files, Mapping) else files or ()
