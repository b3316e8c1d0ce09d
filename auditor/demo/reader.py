"""The deployed model of the demo: a late-fusion digit reader with one head for the image, the voice and the hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.demo.sources import RATE, Part, hint

FRAME, HOP, BANDS = 256, 80, 26


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reader says.

    Attributes
    ----------
    label : str
        The digit.
    scores : ndarray of float64, shape (10,)
        Fused probabilities.
    heads : dict of str to ndarray of float64, shape (10,)
        What each head that had an input says.
    """

    label: str
    scores: NDArray[np.float64]
    heads: dict[str, NDArray[np.float64]]


class DigitReader:
    """Late fusion: the product of the heads' probabilities; a head whose input is missing has no say.

    Parameters
    ----------
    passes : int
        How often every head is evaluated and averaged; a heavier version does the same work several times.
    """

    def __init__(self, photo: Head, clip: Head, text: Any, passes: int = 1) -> None:
        self._photo, self._clip, self._text = photo, clip, text
        self.passes = passes

    def heavier(self, passes: int) -> DigitReader:
        """The same reader with more work per answer."""
        return DigitReader(self._photo, self._clip, self._text, passes)

    def read(self, photo: NDArray[np.uint8], clip: NDArray[np.float32] | None, hint: str | None) -> Answer:
        """Read one digit; any input but the photo may be None."""
        for _ in range(self.passes):
            heads = {"photo": self._photo.scores(_pixels(photo))}
            if clip is not None:
                heads["clip"] = self._clip.scores(cepstrum(clip))
            if hint is not None:
                heads["hint"] = self._text.predict_proba([hint])[0]
        fused = np.sum([np.log(scores + 1e-6) for scores in heads.values()], axis=0)
        scores = np.exp(fused - fused.max())
        scores /= scores.sum()
        return Answer(str(int(scores.argmax())), scores, heads)


def train(part: Part) -> DigitReader:
    """Fit the three heads, in seconds."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(7)
    small = part.images.shape[1] < 20
    photo = Head.fit(np.stack([_pixels(image) for image in part.images]), part.digits, 0.02)
    clip = Head.fit(np.stack([cepstrum(samples) for samples in part.clips]), part.spoken, 0.005 if small else 0.02)
    text = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=300))
    text.fit([hint(int(digit), rng) for digit in part.digits], part.digits)
    return DigitReader(photo, clip, text)


@dataclass(frozen=True, slots=True)
class Head:
    """Logistic regression on standardised features."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    model: Any

    @classmethod
    def fit(cls, x: NDArray[np.float32], y: NDArray[np.int64], strength: float) -> Head:
        """Fit on features of shape (n, d); `strength` is the inverse of the penalty."""
        from sklearn.linear_model import LogisticRegression

        mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        scale[scale == 0] = 1.0
        return cls(mean, scale, LogisticRegression(max_iter=300, C=strength).fit((x - mean) / scale, y))

    def scores(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the ten digits, shape (10,), for one row of features."""
        return np.asarray(self.model.predict_proba(((x - self.mean) / self.scale)[None])[0])


def _pixels(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness at the size the head works on: 8x8 as it is, 28x28 averaged to 14x14."""
    x = np.asarray(image, np.float32) / np.float32(255)
    if len(x) == 28:
        x = x.reshape(14, 2, 14, 2).mean((1, 3))
    return x.ravel()


def _mel_bands() -> NDArray[np.float32]:
    edges = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 4000 / 700), BANDS + 2)
    bins = np.floor((FRAME + 1) * 700 * (10 ** (edges / 2595) - 1) / RATE).astype(int)
    bands = np.zeros((BANDS, FRAME // 2 + 1), np.float32)
    for i in range(BANDS):
        low, middle, high = bins[i], max(bins[i + 1], bins[i] + 1), max(bins[i + 2], bins[i + 1] + 2)
        bands[i, low:middle] = (np.arange(low, middle) - low) / (middle - low)
        high = min(high, FRAME // 2 + 1)
        bands[i, middle:high] = (high - np.arange(middle, high)) / (high - middle)
    return bands


_BANDS = _mel_bands()
_WINDOW = np.hanning(FRAME).astype(np.float32)


def cepstrum(clip: NDArray[np.float32], frames: int = 20, coefficients: int = 13) -> NDArray[np.float32]:
    """Mel cepstrum of a clip on a fixed number of frames, and its length; shape (frames * coefficients + 1,)."""
    from scipy.fft import dct

    x = np.pad(clip, (0, FRAME - len(clip))) if len(clip) < FRAME else clip
    windows = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP] * _WINDOW
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    c = dct(np.log(power @ _BANDS.T + 1e-8), axis=1, norm="ortho")[:, :coefficients]
    at = np.linspace(0, len(c) - 1, frames)
    below = np.floor(at).astype(int)
    above, share = np.minimum(below + 1, len(c) - 1), (at - below)[:, None]
    even = c[below] * (1 - share) + c[above] * share
    even[:, 0] -= even[:, 0].mean()
    features: NDArray[np.float32] = np.concatenate([even.ravel(), [np.log(len(x))]]).astype(np.float32)
    return features
