"""Which damage of photos, clips and captions is found at 100 payloads a day within three days, and what moves each descriptor.

25 corruptions at three severities are put on traffic drawn from 100 photos, 60 clips of spoken digits and 100 captions; the
baseline is a week of clean draws from the same. Everything goes through the product: descriptors, frame, states, the union
test of an input. A change is found when the union's p-value is below 0.001 on one of three days; false alarms are counted by
the same rule on clean days. "+" adds a small encoder that is made here (thumbnails and gradients, log-mel means, hashed
trigrams). Sensitivity is the mean shift of a figure in standard deviations of the clean payloads.

    python benchmarks/corruptions.py [--runs 20]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import wave
import zipfile
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parent))

from common import keep, real_data

from auditor import registry
from auditor.audit.summarise import fit_frame, summarise
from auditor.core.frame import Frame
from auditor.core.rows import Rows
from auditor.core.state import WindowState, merge_all
from auditor.core.window import Span, from_us, to_us
from auditor.drift.union import PLUGIN as UNION
from auditor.testing.factories import START

PER_DAY, DAYS, WEEK, LEVEL = 100, 3, 7, 1e-3
RATE = 8000
DAY_US = 86_400_000_000
SKIPPED = {"perceptual_hash", "exif_orientation"}

Damage = Callable[[object, int, np.random.Generator], object]

# -- photos: severity 0, 1, 2 ---------------------------------------------------------------------------------------------


def _u8(x: np.ndarray) -> np.ndarray:
    return np.clip(np.round(x), 0, 255).astype(np.uint8)


def _jpeg(x: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(x).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


def _blur(x: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(radius)))


def _crop(x: np.ndarray, share: float) -> np.ndarray:
    down, right = (max(1, int(side * share / 2)) for side in x.shape[:2])
    return x[down:-down, right:-right]


def _turn(x: np.ndarray, degrees: float) -> np.ndarray:
    return np.asarray(Image.fromarray(x).rotate(degrees))


def _dirt(x: np.ndarray, spots: int, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.ogrid[: x.shape[0], : x.shape[1]]
    out = x.astype(np.float64)
    for _ in range(spots):
        centre, size = rng.uniform(0, 1, 2) * x.shape[:2], rng.uniform(0.04, 0.1) * min(x.shape[:2])
        out *= 1 - 0.85 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / size**2)[..., None]
    return _u8(out)


PHOTOS: dict[str, Damage] = {
    "noise": lambda x, s, g: _u8(x + g.normal(0, (3, 8, 20)[s], x.shape)),
    "blur": lambda x, s, g: _blur(x, (0.7, 1.5, 3)[s]),
    "jpeg": lambda x, s, g: _jpeg(x, (50, 25, 10)[s]),
    "exposure": lambda x, s, g: _u8(x * (1.15, 1.4, 1.8)[s]),
    "colour cast": lambda x, s, g: _u8(x * np.array([1 + (0.05, 0.12, 0.25)[s], 1, 1 - (0.05, 0.12, 0.25)[s]])),
    "crop": lambda x, s, g: _crop(x, (0.1, 0.25, 0.5)[s]),
    "flip": lambda x, s, g: x[::-1] if s == 2 else (x[:, ::-1] if g.random() < (0.5, 1)[s] else x),
    "rotation": lambda x, s, g: _turn(x, (5, 15, 45)[s]),
    "low light": lambda x, s, g: _u8(
        g.poisson(x / 255 * (120, 50, 20)[s]) * (255 / (120, 50, 20)[s]) * (0.7, 0.5, 0.3)[s]
    ),
    "dirt": lambda x, s, g: _dirt(x, (2, 6, 15)[s], g),
    "channel swap": lambda x, s, g: x[..., ::-1] if g.random() < (0.25, 0.5, 1)[s] else x,
}

# -- clips ----------------------------------------------------------------------------------------------------------------


def _hiss(x: np.ndarray, decibel: float, rng: np.random.Generator) -> np.ndarray:
    return x + rng.normal(0, np.sqrt(np.mean(x**2) / 10 ** (decibel / 10)), len(x))


def _band(x: np.ndarray, low: float, high: float) -> np.ndarray:
    spectrum, hertz = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / RATE)
    return np.fft.irfft(np.where((hertz >= low) & (hertz <= high), spectrum, 0), len(x))


def _speed(x: np.ndarray, factor: float) -> np.ndarray:
    return np.interp(np.arange(0, len(x) - 1, factor), np.arange(len(x)), x)


def _reverb(x: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    room = rng.normal(size=len(t)) * 10 ** (-3 * t / seconds)
    room[0] = 4.0
    wet = np.convolve(x, room)[: len(x)]
    return wet * np.sqrt(np.mean(x**2) / np.mean(wet**2))


def _dropout(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    pieces = np.array_split(x, 60)
    return np.concatenate([piece * (rng.random() >= share) for piece in pieces])


CLIPS: dict[str, Damage] = {
    "clipping": lambda x, s, g: np.clip(x * (4, 8, 16)[s] * 0.2 / np.sqrt(np.mean(x**2)) / 2, -1, 1),
    "hiss": lambda x, s, g: _hiss(x, (30, 20, 10)[s], g),
    "hum": lambda x, s, g: (
        x + (0.02, 0.06, 0.2)[s] * np.sqrt(np.mean(x**2)) * 2 * np.sin(100 * np.pi * np.arange(len(x)) / RATE)
    ),
    "band limit": lambda x, s, g: _band(x, *((50, 3400), (300, 3000), (500, 2000))[s]),
    "speed": lambda x, s, g: _speed(x, (1.05, 1.15, 1.4)[s]),
    "reverb": lambda x, s, g: _reverb(x, (0.2, 0.5, 1.2)[s], g),
    "dropout": lambda x, s, g: _dropout(x, (0.02, 0.08, 0.25)[s], g),
    "gain": lambda x, s, g: x * (0.8, 0.5, 0.2)[s],
}

# -- captions -------------------------------------------------------------------------------------------------------------

GERMAN = [
    "Ein Mann steht auf der Straße und wartet.",
    "Zwei Hunde laufen über die Wiese.",
    "Auf dem Tisch steht eine Schale mit Obst.",
]
LEAKS = ("call +49 170 1234567", "mail ann.lee@example.org", "card 4111 1111 1111 1111")


def _typos(text: str, share: float, rng: np.random.Generator) -> str:
    letters = list(text)
    for place in range(len(letters) - 1):
        if rng.random() < share and letters[place].isalpha():
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)


def _repeat(text: str, times: int) -> str:
    words = text.split()
    return " ".join(words + words[-4:] * times)


CAPTIONS: dict[str, Damage] = {
    "typos": lambda x, s, g: _typos(str(x), (0.03, 0.08, 0.2)[s], g),
    "language": lambda x, s, g: GERMAN[g.integers(len(GERMAN))] if g.random() < (0.1, 0.3, 1)[s] else x,
    "truncation": lambda x, s, g: str(x)[: int(len(str(x)) * (0.9, 0.7, 0.4)[s])],
    "case": lambda x, s, g: str(x).upper() if g.random() < (0.1, 0.3, 1)[s] else x,
    "repetition": lambda x, s, g: _repeat(str(x), (1, 2, 6)[s]) if g.random() < (0.2, 0.5, 1)[s] else x,
    "personal data": lambda x, s, g: f"{x} {LEAKS[g.integers(3)]}" if g.random() < (0.05, 0.15, 0.5)[s] else x,
}
DAMAGES = {"image": PHOTOS, "audio": CLIPS, "text": CAPTIONS}

# -- payloads, encoders ---------------------------------------------------------------------------------------------------


def photos(folder: Path) -> list[np.ndarray]:
    found = []
    for path in sorted((folder / "captioned-photos").glob("*2017/*.jpg")):
        image = Image.open(path).convert("RGB")
        image.thumbnail((192, 192))
        found.append(np.asarray(image))
    return found


def clips(folder: Path) -> list[np.ndarray]:
    """60 clips of six spoken digits with pauses of low noise."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "spoken-digits" / "recordings.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav") and "__MACOSX" not in name)
        found = []
        for speaker in range(60):
            voice = names[speaker % 6 * 50].split("_")[1]
            parts = []
            for name in rng.choice([name for name in names if f"_{voice}_" in name], 6):
                with wave.open(io.BytesIO(archive.read(str(name)))) as file:
                    parts += [np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768, np.zeros(1600)]
            x = np.concatenate(parts)
            found.append(x + rng.normal(0, 3e-4, len(x)))
    return found


def captions(folder: Path) -> list[str]:
    entries = json.loads((folder / "captioned-photos" / "annotations" / "captions_val2017.json").read_text())[
        "annotations"
    ]
    return [entry["caption"].strip() for entry in entries][:100]


def encode(modality: str, value: object) -> np.ndarray:
    """The small encoders: 48 to 96 dimensions."""
    if modality == "image":
        grey = np.asarray(Image.fromarray(np.asarray(value)).convert("L").resize((32, 32)), np.float64) / 255
        down, across = np.gradient(grey)
        angle, size = np.arctan2(down, across), np.hypot(down, across)
        turns = np.histogram(angle, 16, (-np.pi, np.pi), weights=size)[0] / 32
        return np.concatenate([grey.reshape(8, 4, 8, 4).mean(axis=(1, 3)).ravel(), turns])
    if modality == "audio":
        x = np.asarray(value)
        frames = np.lib.stride_tricks.sliding_window_view(x, 256)[::128] * np.hanning(256)
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-8
        bands = np.log(np.stack([power[:, place : place + 4].mean(axis=1) for place in range(0, 128, 4)], axis=1))
        return np.concatenate([bands.mean(axis=0), bands.std(axis=0)])
    vector = np.zeros(64)
    text = f" {value} "
    for place in range(len(text) - 2):
        vector[zlib.crc32(text[place : place + 3].encode()) % 64] += 1
    return vector / max(np.linalg.norm(vector), 1)


class Table:
    """Figures and vectors of many payloads, by column."""

    def __init__(self, modality: str, values: list[object]) -> None:
        plugin = registry.load("descriptors", modality)
        described = [plugin.describe(value, rate=RATE if modality == "audio" else None) for value in values]
        self.numeric = {
            column.name: np.array(
                [np.nan if row[column.name] is None else row[column.name] for row in described], float
            )
            for column in plugin.columns
            if column.kind == "numeric"
        }
        self.words = {
            column.name: np.array([row[column.name] for row in described], object)
            for column in plugin.columns
            if column.kind == "categorical" and column.name not in SKIPPED
        }
        self.vectors = np.stack([encode(modality, value) for value in values]).astype(np.float32)

    def rows(self, modality: str, chosen: np.ndarray, day: int, encoder: bool) -> Rows:
        n = len(chosen)
        time_us = to_us(START) + day * DAY_US + np.arange(n) * (DAY_US * (WEEK if n > PER_DAY else 1) // n)
        name = "inputs.x"
        return Rows(
            model="m",
            ids=np.array([f"{day}-{i:05d}" for i in range(n)], object),
            time_us=time_us,
            version=np.full(n, "1", object),
            sampling=np.ones(n),
            described=np.ones(n, bool),
            numeric={f"{name}.descriptors.{key}": x[chosen] for key, x in self.numeric.items()},
            categorical={f"{name}.descriptors.{key}": x[chosen] for key, x in self.words.items()},
            vectors={f"{name}.embedding": self.vectors[chosen]} if encoder else {},
            presence={"x": np.ones(n, np.int8)},
            modality={"x": modality},
            truth=np.full(n, None, object),
            truth_value=np.full(n, np.nan),
            labelled_us=np.full(n, -1),
        )


def state_of(rows: Rows, frame: Frame) -> WindowState:
    span = Span(from_us(int(rows.time_us.min())), from_us(int(rows.time_us.max()) + 1)).widen(timedelta(hours=1))
    return merge_all(summarise(rows, frame, span))


def smallest_p(current: WindowState, baseline: WindowState, frame: Frame) -> float:
    known = [reading.p_value for reading in UNION.measure(current, baseline, frame) if reading.p_value is not None]
    return min(known, default=1.0)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--clean", type=int, default=100, help="runs without damage")
    options = parser.parse_args()
    runs = options.runs
    folder = real_data()
    if folder is None:
        return 0
    payloads = {"image": photos(Path(folder)), "audio": clips(Path(folder)), "text": captions(Path(folder))}
    found: dict[str, dict[str, list[float]]] = {}
    clean_alarms: dict[str, dict[str, float]] = {}
    sensitivity: dict[str, dict[str, dict[str, list[float]]]] = {}
    for modality, values in payloads.items():
        clean = Table(modality, values)
        damaged = {
            name: [
                Table(modality, [damage(value, severity, np.random.default_rng(i)) for i, value in enumerate(values)])
                for severity in range(3)
            ]
            for name, damage in DAMAGES[modality].items()
        }
        sensitivity[modality] = shifts(clean, damaged)
        for encoder in (False, True):
            mark = "+" if encoder else ""
            rng = np.random.default_rng(1)
            draw = lambda n, rng=rng, values=values: rng.integers(0, len(values), n)  # noqa: E731
            week = clean.rows(modality, draw(WEEK * PER_DAY), 0, encoder)
            frame = fit_frame(week)
            baseline = state_of(week, frame)

            def alarm(
                table: Table, frame=frame, baseline=baseline, encoder=encoder, modality=modality, draw=draw
            ) -> bool:
                return any(
                    smallest_p(
                        state_of(table.rows(modality, draw(PER_DAY), WEEK + day, encoder), frame), baseline, frame
                    )
                    < LEVEL
                    for day in range(DAYS)
                )

            clean_alarms.setdefault(modality, {})[mark or "descriptors"] = float(
                np.mean([alarm(clean) for _ in range(options.clean)])
            )
            for name, tables in damaged.items():
                found.setdefault(f"{modality}: {name}", {})[mark or "descriptors"] = [
                    float(np.mean([alarm(table) for _ in range(runs)])) for table in tables
                ]
    report(found, clean_alarms)
    keep(
        "corruptions",
        {"found": found, "false_alarms": clean_alarms, "sensitivity": sensitivity, "runs": runs, "level": LEVEL},
    )
    return 0


def shifts(clean: Table, damaged: dict[str, list[Table]]) -> dict[str, dict[str, list[float]]]:
    """By column and corruption: the mean shift at each severity, in standard deviations of the clean payloads."""
    moved: dict[str, dict[str, list[float]]] = {}
    for column, x in clean.numeric.items():
        if np.isfinite(x).sum() < 2:
            continue
        spread = float(np.nanstd(x))
        for name, tables in damaged.items():
            means = [
                float(np.nanmean(y)) if np.isfinite(y := table.numeric[column]).any() else np.nan for table in tables
            ]
            steps = [(mean - float(np.nanmean(x))) / spread if spread else 0.0 for mean in means]
            if spread and np.isfinite(steps).all():
                moved.setdefault(column, {})[name] = [round(step, 2) for step in steps]
    return moved


def report(found: dict[str, dict[str, list[float]]], clean: dict[str, dict[str, float]]) -> None:
    print(f"share of runs in which the damage is found within {DAYS} days of {PER_DAY}: slight, middle, strong")
    for name, by in found.items():
        cells = "   ".join(f"{mark:>11}" + "".join(f"{share:6.2f}" for share in shares) for mark, shares in by.items())
        print(f"{name:24}{cells}")
    for mark in ("descriptors", "+"):
        middle = sum(by[mark][1] >= 0.8 for by in found.values())
        strong = sum(by[mark][2] >= 0.8 for by in found.values())
        print(f"{mark:>12}: {middle} of {len(found)} found at the middle severity, {strong} at the strong one")
    for modality, by in clean.items():
        print(
            f"false alarms in {DAYS} clean days, {modality}: "
            + ", ".join(f"{mark} {share:.3f}" for mark, share in by.items())
        )


if __name__ == "__main__":
    raise SystemExit(main())
