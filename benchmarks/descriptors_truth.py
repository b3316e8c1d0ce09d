"""Each descriptor against its reference library, on real photos, recordings and labelled texts, and under its own corruption.

Runs in an environment of its own, since the references are heavy: `pip install librosa opencv-python-headless scikit-image
scenedetect pyloudnorm regex` beside auditor with its extras. A reference that is not installed is left out, and named.

    python benchmarks/descriptors_truth.py
"""

from __future__ import annotations

import importlib.util
import io
import sys
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parent))

from common import keep, real_data

from auditor import registry

RATE = 8000
LABELLED = Path(__file__).parents[1] / "tests" / "data" / "labelled_texts.toml"
Rows = list[dict[str, object]]


def described(modality: str, values: Iterable[object], rate: float | None = None) -> Rows:
    plugin = registry.load("descriptors", modality)
    return [dict(plugin.describe(value, rate=rate)) for value in values]


def compared(rows: Rows, column: str, reference: list[float | None]) -> dict[str, float]:
    """Correlation, mean difference and n of the payloads for which both have a figure."""
    pairs = [
        (row[column], other)
        for row, other in zip(rows, reference, strict=True)
        if row[column] is not None and other is not None
    ]
    ours, theirs = (np.array(side, float) for side in zip(*pairs, strict=True))
    r = float(np.corrcoef(ours, theirs)[0, 1]) if ours.std() and theirs.std() else float(np.allclose(ours, theirs))
    return {
        "r": round(r, 4),
        "bias": float(f"{(ours - theirs).mean():.4g}"),
        "mean": float(f"{theirs.mean():.4g}"),
        "n": len(ours),
    }


def photos(folder: Path) -> list[np.ndarray]:
    return [
        np.asarray(Image.open(path).convert("RGB"))
        for path in sorted((folder / "captioned-photos").glob("*2017/*.jpg"))
    ]


def recordings(folder: Path, step: int) -> list[np.ndarray]:
    import soundfile

    with zipfile.ZipFile(folder / "spoken-digits" / "recordings.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav") and "__MACOSX" not in name)
        return [soundfile.read(io.BytesIO(archive.read(name)))[0] for name in names[::step]]


def of_images(images: list[np.ndarray]) -> dict[str, dict[str, float]]:
    import cv2
    from skimage.measure import shannon_entropy
    from skimage.restoration import estimate_sigma

    rows = described("image", images)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    colourful = []
    for image in images:
        r, g, b = np.moveaxis(image.astype(float), 2, 0)
        rg, yb = r - g, (r + g) / 2 - b
        colourful.append(float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())))
    references = {
        "brightness": [float(x.mean()) / 255 for x in grey],
        "contrast": [float(x.std()) / 255 for x in grey],
        "entropy": [float(shannon_entropy(x)) for x in grey],
        "saturation": [float(cv2.cvtColor(x, cv2.COLOR_RGB2HSV)[..., 1].mean()) / 255 for x in images],
        "colourfulness": colourful,
        "sharpness": [float(cv2.Laplacian(x / 255, cv2.CV_64F).var()) for x in grey],
        "noise": [float(estimate_sigma(x / 255)) for x in grey],
    }
    return {name: compared(rows, name, reference) for name, reference in references.items()}


def of_sound(clips: list[np.ndarray]) -> dict[str, dict[str, float]]:
    import librosa

    rows = described("audio", clips, RATE)
    size = {"n_fft": 256, "hop_length": 128, "center": False}

    def spectral(what: Callable, x: np.ndarray, **options: object) -> float:
        power = np.abs(librosa.stft(x, **size)) ** 2
        return float(what(S=power.mean(axis=1, keepdims=True), sr=RATE, n_fft=256, **options).mean())

    def pitch(x: np.ndarray) -> float | None:
        found, voiced, _ = librosa.pyin(x, fmin=60, fmax=500, sr=RATE, frame_length=512)
        return float(np.nanmedian(found)) if voiced.any() else None

    references: dict[str, list[float | None]] = {
        "level_dbfs": [float(10 * np.log10(np.mean(x**2) + 1e-10)) for x in clips],
        "centroid_hz": [spectral(librosa.feature.spectral_centroid, x) for x in clips],
        "bandwidth_hz": [spectral(librosa.feature.spectral_bandwidth, x) for x in clips],
        "rolloff95_hz": [spectral(librosa.feature.spectral_rolloff, x, roll_percent=0.95) for x in clips],
        "zcr": [float(librosa.zero_crossings(x, pad=False).mean()) for x in clips],
        "pitch_hz": [pitch(x) for x in clips],
    }
    found = {name: compared(rows, name, reference) for name, reference in references.items()}
    joined = phrases(clips)
    rows = described("audio", joined, RATE)
    if importlib.util.find_spec("pyloudnorm"):
        import pyloudnorm

        found["loudness_lufs"] = compared(
            rows, "loudness_lufs", [pyloudnorm.Meter(RATE).integrated_loudness(x) for x in joined]
        )
    rng = np.random.default_rng(0)
    planted, noisy = [], []
    for x in joined:
        for decibel in range(0, 41, 5):
            planted.append(float(decibel))
            noisy.append(x + rng.normal(0, np.sqrt(np.mean(x**2) / 10 ** (decibel / 10)), len(x)))
    found["snr_db (planted, 0 to 40)"] = compared(described("audio", noisy, RATE), "snr_db", planted)
    return found


def phrases(clips: list[np.ndarray], n: int = 24) -> list[np.ndarray]:
    """Eight recordings each, with a quarter of a second of silence between them."""
    rng = np.random.default_rng(0)
    return [
        np.concatenate([part for i in rng.choice(len(clips), 8) for part in (clips[i], np.zeros(RATE // 4))])
        for _ in range(n)
    ]


def of_series() -> dict[str, dict[str, float]]:
    from scipy.signal import periodogram

    rng = np.random.default_rng(0)
    values = [
        rng.normal(size=4000) + rng.uniform(1, 3) * np.sin(2 * np.pi * rng.uniform(0.01, 0.4) * np.arange(4000))
        for _ in range(60)
    ]
    rows = described("series", values, 1.0)
    peaks = []
    for x in values:
        hertz, power = periodogram(x, window="hann", detrend="linear")
        peaks.append(float(hertz[power.argmax()]))
    return {
        "dominant_hz": compared(rows, "dominant_hz", peaks),
        "trend": compared(rows, "trend", [float(np.polyfit(np.arange(4000), x, 1)[0]) for x in values]),
        "autocorrelation": compared(rows, "autocorrelation", [float(np.corrcoef(x[1:], x[:-1])[0, 1]) for x in values]),
    }


def of_texts() -> dict[str, object]:
    """Recall and precision on the labelled texts; words against UAX 29 as the package regex has it."""
    labelled = tomllib.loads(LABELLED.read_text(encoding="utf-8"))
    from auditor.descriptors import _language

    found: dict[str, object] = {}
    detector = _language._detector
    texts = [(language, text) for language, group in labelled["language"].items() for text in group]
    for name, ask in (("language, own", lambda: None), ("language, with lingua", detector)):
        if name.endswith("lingua") and detector() is None:
            continue
        _language._detector = ask  # type: ignore[assignment]
        spoken = [
            (language, row["language"])
            for (language, _), row in zip(texts, described("text", [t for _, t in texts]), strict=True)
        ]
        right = sum(one == other for one, other in spoken)
        found[name] = {
            "right": right,
            "wrong": len(spoken) - right - sum(other == "und" for _, other in spoken),
            "n": len(spoken),
        }
    for kind, rows in labelled["personal"].items():
        hits = [row[f"{kind}_count"] for row in described("text", [text for _, text in rows])]
        found[kind] = scores([(count, hit > 0) for (count, _), hit in zip(rows, hits, strict=True)])  # type: ignore[operator]
    rows = labelled["toxic"]["texts"]
    found["toxic"] = scores(
        [
            (label, (row["toxic_share"] or 0) > 0)
            for (label, _), row in zip(rows, described("text", [t for _, t in rows]), strict=True)
        ]
    )  # type: ignore[operator]
    rows = labelled["sentiment"]["texts"]
    signs = [
        (label, np.sign(row["sentiment"] or 0))
        for (label, _), row in zip(rows, described("text", [t for _, t in rows]), strict=True)
    ]
    found["sentiment"] = {"right": int(sum(label == sign for label, sign in signs)), "n": len(signs)}
    if importlib.util.find_spec("regex"):
        import regex

        spaced = [text for language, text in texts if language not in ("ja",)]
        theirs = [
            float(sum(any(c.isalpha() for c in part) for part in regex.split(r"(?w)\b", text))) for text in spaced
        ]
        found["words"] = compared(described("text", spaced), "words", theirs)  # type: ignore[arg-type]
    return found


def scores(pairs: list[tuple[int, bool]]) -> dict[str, float]:
    hit = sum(bool(label) and seen for label, seen in pairs)
    return {
        "recall": round(hit / max(1, sum(bool(label) for label, _ in pairs)), 3),
        "precision": round(hit / max(1, sum(seen for _, seen in pairs)), 3),
        "n": len(pairs),
    }


def of_video(images: list[np.ndarray]) -> dict[str, object]:
    """30 scenes of 2 s with swinging exposure, against PySceneDetect's default detector."""
    import tempfile

    import av

    frames = []
    rng = np.random.default_rng(0)
    for image in (images * 2)[:30]:
        big = np.asarray(Image.fromarray(image).resize((360, 280)), float)
        for place in range(50):
            shift = int(place * 0.6)
            frame = big[shift : shift + 240, shift : shift + 320] * (1 + 0.2 * np.sin(place / 6))
            frames.append((frame + rng.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenes.mp4"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode())
        found: dict[str, object] = {"planted": 29, "cuts of the file": described("video", [path])[0]["cuts"]}
        found["cuts of the frames"] = described("video", [frames], 25)[0]["cuts"]
        if importlib.util.find_spec("scenedetect"):
            import scenedetect

            found["PySceneDetect"] = len(scenedetect.detect(str(path), scenedetect.AdaptiveDetector())) - 1
    return found


def monotone(images: list[np.ndarray], clips: list[np.ndarray]) -> dict[str, list[float]]:
    """Means of a figure under its own corruption, clean and at five severities."""
    rng = np.random.default_rng(0)
    small = [np.asarray(Image.fromarray(image).resize((320, 240))) for image in images[:40]]
    joined = phrases(clips, 12)

    def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "JPEG", quality=quality)
        return np.asarray(Image.open(out))

    def bytes_(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 255).astype(np.uint8)

    def room(x: np.ndarray, seconds: float) -> np.ndarray:
        t = np.arange(max(1, int(seconds * RATE))) / RATE
        wet = np.convolve(x, rng.normal(size=len(t)) * 10 ** (-3 * t / max(seconds, 0.01)))
        return 0.5 * wet / np.abs(wet).max()

    def hiss(x: np.ndarray, decibel: float) -> np.ndarray:
        return x + rng.normal(0, np.sqrt(np.mean(x**2) / 10 ** (decibel / 10)), len(x))

    t = np.arange(RATE * 3) / RATE
    cases: dict[str, tuple[str, str, list, Callable, tuple]] = {
        "noise under noise": ("image", "noise", small, lambda x, s: bytes_(x + rng.normal(0, s, x.shape)), (0, 2, 5, 10, 20, 40)),
        "sharpness under blur": ("image", "sharpness", small, lambda x, s: np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(s))), (0, 0.5, 1, 2, 3, 5)),
        "blockiness under JPEG": ("image", "blockiness", small, jpeg, (95, 60, 40, 20, 10, 5)),
        "brightness under gain": ("image", "brightness", small, lambda x, s: bytes_(x * s), (1, 0.9, 0.7, 0.5, 0.3, 0.1)),
        "highlight_share under gain": ("image", "highlight_share", small, lambda x, s: bytes_(x * s), (1.0, 1.2, 1.5, 2.0, 3.0, 5.0)),
        "saturation under fading": ("image", "saturation", small, lambda x, s: bytes_(x * s + x.mean(axis=2, keepdims=True) * (1 - s)), (1, 0.8, 0.6, 0.4, 0.2, 0)),
        "snr_db under hiss": ("audio", "snr_db", joined, hiss, (50, 40, 30, 20, 10, 0)),
        "clipping_share under gain": ("audio", "clipping_share", joined, lambda x, s: np.clip(x * s, -1, 1), (1.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
        "reverb_s under reverberation": ("audio", "reverb_s", joined, room, (0, 0.1, 0.2, 0.4, 0.8, 1.2)),
        "hum_share under hum": ("audio", "hum_share", joined, lambda x, s: x + s * np.sin(100 * np.pi * np.arange(len(x)) / RATE), (0, 0.01, 0.03, 0.1, 0.2, 0.4)),
        "rolloff95_hz under a low pass": ("audio", "rolloff95_hz", joined, low_pass, (4000, 3000, 2000, 1500, 1000, 500)),
        "spike_share under spikes": ("series", "spike_share", [np.sin(t * k) for k in range(2, 12)], lambda x, s: x + 9 * (rng.random(len(x)) < s), (0, 0.001, 0.003, 0.01, 0.03, 0.1)),
        "stuck_share under freezes": ("series", "stuck_share", [np.sin(t * k) for k in range(2, 12)], lambda x, s: np.where(np.arange(len(x)) < s * len(x), x[0], x), (0, 0.05, 0.1, 0.2, 0.4, 0.8)),
    }  # fmt: skip
    found = {}
    for name, (modality, column, values, damage, severities) in cases.items():
        means = []
        for severity in severities:
            rows = described(
                modality, [damage(value, severity) for value in values], {"audio": RATE, "series": 10.0}.get(modality)
            )
            means.append(float(f"{np.mean([row[column] for row in rows if row[column] is not None]):.5g}"))  # type: ignore[misc]
        found[name] = means
    return found


def low_pass(x: np.ndarray, hertz: float) -> np.ndarray:
    spectrum = np.fft.rfft(x)
    return np.fft.irfft(np.where(np.fft.rfftfreq(len(x), 1 / RATE) <= hertz, spectrum, 0), len(x))


def main() -> int:
    warnings.simplefilter("ignore")
    folder = real_data()
    if folder is None:
        return 0
    images, clips = photos(Path(folder)), recordings(Path(folder), 20)
    parts: dict[str, Callable[[], object]] = {
        "image": lambda: of_images(images),
        "audio": lambda: of_sound(clips),
        "series": of_series,
        "text": of_texts,
        "video": lambda: of_video(images),
        "monotone": lambda: monotone(images, clips),
    }
    found, missing = {}, []
    for name, part in parts.items():
        try:
            found[name] = part()
        except ModuleNotFoundError as error:
            missing.append(f"{name}: {error.name}")
            continue
        print(f"\n{name}")
        for key, figures in found[name].items():  # type: ignore[attr-defined]
            print(f"  {key:32} {figures}")
    if missing:
        print("references that are not installed here: " + ", ".join(missing))
        return 0
    changes = {name: np.diff(means) for name, means in found["monotone"].items()}  # type: ignore[attr-defined]
    wrong = [name for name, steps in changes.items() if not ((steps >= 0).all() or (steps <= 0).all())]
    print("not monotone: " + (", ".join(wrong) or "none"))
    keep("descriptors_truth", {**found, "not_monotone": wrong})
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
