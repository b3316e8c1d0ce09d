"""What the digit reader reads: scikit-learn's real handwritten digits with synthesised tones, or real recordings.

Built-in audio is synthesised and said to be: each spoken digit is a pair of tones (the telephone keypad's), in four "voices"
that differ in pitch. `--data DIR` takes MNIST's idx files and the Free Spoken Digit recordings instead.
"""

from __future__ import annotations

import gzip
import io
import wave
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import ConfigurationError
from auditor.ports import Damage

RATE = 8000
Clip = NDArray[np.float32]
IMAGES = "handwritten-digits/t10k-images-idx3-ubyte.gz"
LABELS = "handwritten-digits/t10k-labels-idx1-ubyte.gz"
CLIPS = "spoken-digits/recordings.zip"
# Row and column tone of each digit's key, Hz.
LOW = (941, 697, 697, 697, 770, 770, 770, 852, 852, 852)
HIGH = (1336, 1209, 1336, 1477, 1209, 1336, 1477, 1209, 1336, 1477)
VOICES = {"alto": 1.02, "baritone": 1.0, "bass": 0.97, "tenor": 1.05}
SHAPES = ("round", "straight", "curved", "curved", "straight", "curved", "looped", "straight", "looped", "looped")


@dataclass(frozen=True, slots=True)
class Part:
    """Images and clips that one purpose (training, or traffic) draws from.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, h, w)
    digits : ndarray of int64, shape (n,)
    clips : list of ndarray of float32
        Mono, RATE Hz, within [-1, 1].
    spoken : ndarray of int64, shape (m,)
        Digit of each clip.
    speakers : ndarray of str, shape (m,)
    """

    images: NDArray[np.uint8]
    digits: NDArray[np.int64]
    clips: list[Clip]
    spoken: NDArray[np.int64]
    speakers: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Source:
    """A training part and a pool that baseline and traffic are both drawn from; what could not be read is named."""

    name: str
    train: Part
    pool: Part
    damage: list[Damage] = field(default_factory=list)


def built_in() -> Source:
    """Real handwritten digits (8x8, scikit-learn) and synthesised two-tone clips."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(20260101)
    data = load_digits()
    images = (data.images * (255.0 / 16.0)).astype(np.uint8)
    order = rng.permutation(len(images))
    voices = np.array(sorted(VOICES))
    speakers = voices[rng.integers(0, len(voices), len(images))]
    clips = [
        _tones(int(digit), VOICES[str(speaker)], rng) for digit, speaker in zip(data.target, speakers, strict=True)
    ]

    def part(index: NDArray[np.int64]) -> Part:
        return Part(images[index], data.target[index], [clips[i] for i in index], data.target[index], speakers[index])

    return Source("built-in", part(order[:900]), part(order[900:]))


def _tones(digit: int, pitch: float, rng: np.random.Generator) -> Clip:
    n = int(RATE * rng.uniform(0.25, 0.45))
    t = np.arange(n) / RATE
    bend = pitch + rng.normal(0, 0.006)
    low, high = (np.sin(2 * np.pi * tone * bend * t + rng.uniform(0, 6)) for tone in (LOW[digit], HIGH[digit]))
    x = (low + 10 ** (rng.normal(0, 3) / 20) * high) * np.hanning(n) * 10 ** (rng.normal(-12, 2) / 20)
    noise = rng.normal(size=n) * x.std() * 10 ** (-(6 + rng.normal(0, 3)) / 20)
    heard: Clip = np.clip(x + noise, -1, 1).astype(np.float32)
    return heard


def recordings(folder: Path) -> Source:
    """MNIST test images and Free Spoken Digit clips; whatever cannot be read is left out and named."""
    for name in (IMAGES, LABELS, CLIPS):
        if not (folder / name).is_file():
            raise ConfigurationError(
                "no_data",
                f"{name} is not there",
                where=str(folder),
                fix="lay the folder out as the tutorial says, or leave --data out",
            )
    damage: list[Damage] = []
    images = _idx(folder / IMAGES, 16, 28 * 28, damage).reshape(-1, 28, 28)
    digits = _idx(folder / LABELS, 8, 1, damage).ravel().astype(np.int64)
    n = min(len(images), len(digits))
    if n < 1000:
        raise ConfigurationError(
            "no_data", f"only {n} images can be read", where=str(folder / IMAGES), fix="fetch the file again"
        )
    images, digits = images[:n], digits[:n]
    clips, spoken, speakers, takes = _zip(folder / CLIPS, damage)
    order = np.random.default_rng(20260101).permutation(n)
    half = n // 2
    # The first 15 takes of each speaker and digit are traffic, the later ones training: no clip is in both.
    late = takes >= 15

    def part(index: NDArray[np.int64], mask: NDArray[np.bool_]) -> Part:
        return Part(
            images[index], digits[index], [clips[i] for i in np.flatnonzero(mask)], spoken[mask], speakers[mask]
        )

    return Source(folder.name, part(order[:half], late), part(order[half:], ~late), damage)


def _idx(path: Path, header: int, size: int, damage: list[Damage]) -> NDArray[np.uint8]:
    """The whole items of a gzipped idx file, even when it breaks off or its checksum is wrong."""
    packed = path.read_bytes()
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        reader, data = zlib.decompressobj(31), b""
        try:
            for start in range(0, len(packed), 4096):
                data += reader.decompress(packed[start : start + 4096])
        except zlib.error:
            pass
        expected = int.from_bytes(data[4:8], "big") if len(data) >= 8 else 0
        lost = max(expected - max(len(data) - header, 0) // size, 0)
        damage.append(Damage(what=f"unreadable: {error}", where=path.name, lost=lost))
    body = np.frombuffer(data, np.uint8, offset=min(header, len(data)))
    return body[: len(body) // size * size].reshape(-1, size)


def _zip(path: Path, damage: list[Damage]) -> tuple[list[Clip], NDArray[np.int64], NDArray[np.str_], NDArray[np.int64]]:
    clips: list[Clip] = []
    found: list[tuple[int, str, int]] = []
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ConfigurationError(
            "no_data", f"not a zip file: {error}", where=str(path), fix="fetch the file again"
        ) from error
    with archive:
        for name in sorted(archive.namelist()):
            stem = name.rsplit("/", 1)[-1]
            if not stem.endswith(".wav") or "__MACOSX" in name:
                continue
            try:
                digit, speaker, take = stem[:-4].split("_")
                with wave.open(io.BytesIO(archive.read(name))) as clip:
                    if (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) != (RATE, 1, 2):
                        raise ValueError("not 8 kHz, mono, 16 bit")
                    samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16)
                if len(samples) < 256:
                    raise ValueError("shorter than 32 ms")
                found.append((int(digit), speaker, int(take)))
                clips.append(samples.astype(np.float32) / np.float32(32768))
            except (ValueError, EOFError, OSError, wave.Error, zipfile.BadZipFile, zlib.error) as error:
                damage.append(Damage(what=f"unreadable: {error}", where=f"{path.name}:{name}", lost=1))
    if len(clips) < 1000:
        raise ConfigurationError(
            "no_data", f"only {len(clips)} clips can be read", where=str(path), fix="fetch the file again"
        )
    spoken, speakers, takes = zip(*found, strict=True)
    return clips, np.array(spoken), np.array(speakers), np.array(takes)


def hint(digit: int, rng: np.random.Generator) -> str:
    """What a clerk jotted down about the digit's shape; one in five is a guess."""
    said = digit if rng.random() > 0.2 else int(rng.integers(0, 10))
    opening = ("looks", "seems", "probably", "I think it is", "the writer made it")[int(rng.integers(0, 5))]
    closing = ("", " and clear", " with a shaky hand", ", written fast", " on lined paper")[int(rng.integers(0, 5))]
    return f"{opening} {SHAPES[said]}{closing}."
