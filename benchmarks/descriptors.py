"""What describing one payload costs, on one thread: `python benchmarks/descriptors.py [--rounds N]`.

Each case is timed in turn, round by round, so that a busy machine slows all of them alike; the best round counts (what
the code costs) and the median is printed beside it (what it cost here). Writes benchmarks/results/descriptors.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from auditor import registry  # noqa: E402

SENTENCE = "A small brown dog runs across the wet street while two people in yellow coats wait for the bus to come. "
RESULTS = Path(__file__).parent / "results" / "descriptors.json"


def jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def cases() -> dict[str, tuple[str, object, float | None, float | None]]:
    """Name to (modality, value, rate, limit in microseconds)."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(1024), np.arange(1024))
    photo = np.stack([127 + 90 * np.sin(x / k) * np.cos(y / (k + 3)) for k in (9, 13, 17)], axis=2)
    photo = (photo + rng.normal(0, 6, photo.shape)).clip(0, 255).astype(np.uint8)
    small = photo[:224, :224].copy()
    t = np.arange(10 * 16000) / 16000
    voice = (
        0.3 * np.sin(2 * np.pi * 140 * t) * (1 + np.sin(2 * np.pi * 3 * t)) + 0.01 * rng.normal(size=t.size)
    ).astype(np.float32)
    words = (SENTENCE * 60).split()
    return {
        "image 28x28": ("image", small[:28, :28, 0].copy(), None, 250),
        "image 224x224x3": ("image", small, None, 3000),
        "image 1024x1024x3": ("image", photo, None, 2500),
        "image jpeg 1024x1024": ("image", jpeg(photo), None, 10_000),
        "audio 1 s at 8 kHz": ("audio", voice[:8000], 8000, 800),
        "audio 10 s at 16 kHz": ("audio", voice, 16000, 3100),
        "audio 60 s at 16 kHz": ("audio", np.tile(voice, 6), 16000, None),
        "text 50 words": ("text", " ".join(words[:50]), None, 150),
        "text 1000 words": ("text", " ".join(words[:1000]), None, 750),
        "tabular 20 features": (
            "tabular",
            {f"f{i}": i * 0.5 for i in range(15)} | {f"c{i}": "a" for i in range(5)},
            None,
            50,
        ),
        "series 1000 x 3": ("series", rng.normal(size=(1000, 3)), 100.0, 900),
        "point cloud 100 000": ("point_cloud", rng.normal(0, 20, (100_000, 4)).astype(np.float32), None, 15_000),
        "video 30 x 224x224x3": ("video", np.stack([np.roll(small, i, axis=1) for i in range(30)]), 25.0, None),
        "embedding 512": ("embedding", rng.normal(size=512).astype(np.float32), None, 50),
    }


def seconds(plugin, value, rate) -> float:
    """CPU seconds a call, which other programs on the machine hardly lengthen, over enough calls for about 10 ms."""
    start = time.process_time()
    plugin.describe(value, rate=rate)
    calls = max(1, min(300, int(0.01 / max(time.process_time() - start, 1e-6))))
    start = time.process_time()
    for _ in range(calls):
        plugin.describe(value, rate=rate)
    return (time.process_time() - start) / calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    table = cases()
    plugins = {modality: registry.load("descriptors", modality) for modality, *_ in table.values()}
    timings: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, (modality, value, rate, _limit) in table.items():
            timings[name].append(1e6 * seconds(plugins[modality], value, rate))
    rows = []
    for name, (modality, _value, _rate, limit) in table.items():
        best, middle = min(timings[name]), statistics.median(timings[name])
        held = None if limit is None else best <= limit
        rows.append(
            {
                "case": name,
                "describer": f"{modality}/{plugins[modality].version}",
                "best_us": round(best, 1),
                "median_us": round(middle, 1),
                "limit_us": limit,
                "held": held,
            }
        )
        word = {None: "", True: "held", False: "MISSED"}[held]
        print(f"{name:24s} {best:10.1f} us   median {middle:10.1f} us   limit {limit or '-':>6}  {word}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    RESULTS.write_text(json.dumps({"rounds": rounds, "versions": versions, "rows": rows}, indent=1) + "\n")
    return 1 if any(row["held"] is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
