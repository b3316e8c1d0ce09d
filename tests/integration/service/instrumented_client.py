"""A program of somebody's own: OpenAI's client, traced by three instrumentations in turn, exporting by OTLP/HTTP.

Where it exports to, and under which model's name, is in the variables that OpenTelemetry names; which instrumentation traced
a call is a group of its record. It prints what it was answered, by instrumentation.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer
from provider_server import base64_of, data_uri, png, wav


def instrumentors() -> Iterator[tuple[str, Any]]:
    from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference

    yield "openinference", OpenInference()
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor as OpenTelemetry

    yield "opentelemetry", OpenTelemetry()
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor as Traceloop

    yield "traceloop", Traceloop(upload_base64_image=None)


def converse(tracer: Tracer) -> list[Any]:
    client = openai.OpenAI(max_retries=0)
    with tracer.start_as_current_span("handle request"):
        media: list[Any] = [
            {"type": "text", "text": "How many cats are there?"},
            {"type": "image_url", "image_url": {"url": data_uri(png(), "image/png")}},
            {"type": "input_audio", "input_audio": {"data": base64_of(wav()), "format": "wav"}},
        ]
        asked: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": media}]
        said: list[Any] = [client.chat.completions.create(model="gpt-4o", messages=asked).choices[0].message.content]
        plain: list[Any] = [{"role": "user", "content": "echo three dogs"}]
        stream = client.chat.completions.create(model="gpt-4o", messages=plain, stream=True)
        said.append("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "overload it"}])
        except openai.RateLimitError as error:
            said.append(type(error).__name__)
        vectors = client.embeddings.create(model="embed-small", input=["a cat", "a dog"], encoding_format="float")
        said.append(len(vectors.data))
    return said


def main() -> None:
    said = {}
    for name, instrumentor in instrumentors():
        provider = TracerProvider(resource=Resource.create({"auditor.group.instrumentation": name}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        instrumentor.instrument(tracer_provider=provider)
        said[name] = converse(provider.get_tracer("shop"))
        instrumentor.uninstrument()
        provider.shutdown()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
