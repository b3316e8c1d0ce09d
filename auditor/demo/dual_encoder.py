"""The deployed model of the image-text demo: a small dual encoder, trained on the spot, that says whether a caption fits.

It has the shape of a CLIP-like model (two towers, one shared space, cosine as the score) and nothing of its power: it is no
CLIP, has no weights from elsewhere, and knows the few hundred pairs it was trained on. Hand-made image features (colours,
edges) and hashed words meet by regularised canonical correlation analysis. On real photos that it has not seen, a matching
caption beats another's in about two of three cases.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.demo.photos import Pair, Photo, grams

Floats = NDArray[np.float64]
VERSION = "1.0.0"
ENCODER = f"cca-colours-words-{VERSION}"
MATCH, DOUBT = "match", "doubt"
WORDS = 1024
"""Length of the hashed counts of a caption."""
KEPT, SHARED = 24, 8
"""Principal components kept of each tower's features, and dimensions of the shared space."""
RIDGE = 1.0
"""Of each tower's covariance, in units of its mean variance."""
FOLDS = 5
_SIZE, _ROWS, _ANGLES, _LEVELS = 32, 4, 8, 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What the matcher says.

    Attributes
    ----------
    label : str
        `match` or `doubt`.
    scores : ndarray of float64, shape (2,)
        Probabilities of doubt and of match, were both as frequent.
    embeddings : dict of str to ndarray of float32, shape (SHARED,)
        Of each input that was there, in the shared space, at length 1.
    """

    label: str
    scores: Floats
    embeddings: dict[str, NDArray[np.float32]]


def image_features(photo: Photo) -> Floats:
    """Colours and edges of a photo, shape (121,): the same for its mirror image.

    Means and spreads of lightness, red-green and yellow-blue in four rows, directions of edges in the same rows, and a
    histogram of 64 colours.
    """
    down, across = (np.linspace(0, size - 1, _SIZE).astype(int) for size in photo.shape[:2])
    x = photo[np.ix_(down, across)].astype(np.float64) / 255
    light = x.mean(axis=2)
    opponent = np.stack([light, x[..., 0] - x[..., 1], (x[..., 0] + x[..., 1]) / 2 - x[..., 2]], axis=-1)
    rows = opponent.reshape(_ROWS, -1, 3)
    dy, dx = np.gradient(light)
    # Directions by |dx|, so that a mirror image has the same.
    angle = np.minimum((np.arctan2(dy, np.abs(dx)) / np.pi + 0.5) * _ANGLES, _ANGLES - 1).astype(int)
    row = np.repeat(np.arange(_ROWS), _SIZE // _ROWS)[:, None]
    edges = np.bincount((row * _ANGLES + angle).ravel(), np.hypot(dy, dx).ravel(), _ROWS * _ANGLES)
    level = np.minimum((x * _LEVELS).astype(int), _LEVELS - 1)
    colour = (level[..., 0] * _LEVELS + level[..., 1]) * _LEVELS + level[..., 2]
    histogram = np.bincount(colour.ravel(), minlength=_LEVELS**3)
    return np.concatenate(
        [
            rows.mean(axis=1).ravel(),
            rows.std(axis=1).ravel(),
            np.sqrt(edges / (edges.sum() + 1e-9)),
            np.sqrt(histogram / histogram.sum()),
            [light.mean()],
        ]
    )


def text_features(caption: str) -> Floats:
    """Counts of words and of neighbouring words, each at a place its hash tells; shape (WORDS,)."""
    counts = np.zeros(WORDS)
    for gram in grams(caption):
        counts[zlib.crc32(gram.encode()) % WORDS] += 1
    return counts


@dataclass(frozen=True, slots=True)
class Tower:
    """Features -> shared space: scale, weigh, centre, multiply.

    Attributes
    ----------
    weight, centre : ndarray of float64, shape (f,)
    matrix : ndarray of float64, shape (f, SHARED)
    words : bool
        Whether rows are brought to length 1 after weighing, as counts of words are.
    """

    weight: Floats
    centre: Floats
    matrix: Floats
    words: bool

    def embed(self, features: Floats) -> Floats:
        """Rows of the shared space at length 1, shape (n, SHARED), of features (n, f); zero for what says nothing."""
        return _unit((weighed(features, self.weight, self.words) - self.centre) @ self.matrix)


def weighed(features: Floats, weight: Floats, words: bool) -> Floats:
    """Features on comparable scales, shape (n, f)."""
    return _unit(features * weight) if words else features * weight


@dataclass(frozen=True, slots=True)
class DualEncoder:
    """Two towers into one space, by canonical correlation analysis with a ridge (Vinod 1976) on principal components."""

    image: Tower
    text: Tower

    @classmethod
    def fit(cls, image: Floats, text: Floats) -> DualEncoder:
        """From features of matching pairs, row by row: shapes (n, f) and (n, WORDS)."""
        spread = image.std(axis=0)
        weights = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
        rarity = np.log(len(text) / (1.0 + (text > 0).sum(axis=0))).clip(min=0)
        a, b = weighed(image, weights, False), weighed(text, rarity, True)
        centres = a.mean(axis=0), b.mean(axis=0)
        base_a, base_b = _components(a - centres[0]), _components(b - centres[1])
        x, y = (a - centres[0]) @ base_a, (b - centres[1]) @ base_b
        n = len(x)
        white_x, white_y = _whitening(x.T @ x / n), _whitening(y.T @ y / n)
        left, correlation, right = np.linalg.svd(white_x @ (x.T @ y / n) @ white_y)
        # Directions that go together count for more.
        scale = np.sqrt(correlation[:SHARED])
        return cls(
            Tower(weights, centres[0], base_a @ white_x @ left[:, :SHARED] * scale, words=False),
            Tower(rarity, centres[1], base_b @ white_y @ right.T[:, :SHARED] * scale, words=True),
        )


def _components(x: Floats) -> Floats:
    """The leading KEPT principal directions of centred rows, shape (f, KEPT)."""
    found: Floats = np.linalg.svd(x, full_matrices=False)[2][:KEPT].T
    return found


def _whitening(covariance: Floats) -> Floats:
    """Inverse square root of the covariance with its ridge."""
    ridge = RIDGE * np.trace(covariance) / len(covariance)
    values, vectors = np.linalg.eigh(covariance + ridge * np.eye(len(covariance)))
    found: Floats = (vectors / np.sqrt(values)) @ vectors.T
    return found


def _unit(x: Floats) -> Floats:
    length = np.sqrt((x**2).sum(axis=-1, keepdims=True))
    found: Floats = np.divide(x, length, out=np.zeros_like(x), where=length > 1e-12)
    return found


@dataclass(frozen=True, slots=True)
class CaptionMatcher:
    """Says of a photo and a caption whether they belong together, by the cosine of their embeddings.

    `slope` and `intercept` turn the cosine into log-odds of a match.
    """

    encoder: DualEncoder
    slope: float
    intercept: float

    def read(self, photo: Photo | None, caption: str | None) -> Answer:
        """Compare them; with either missing nothing can be compared, and the answer is doubt."""
        embeddings = {}
        if photo is not None:
            embeddings["photo"] = self.encoder.image.embed(image_features(photo)[None])[0].astype(np.float32)
        if caption is not None:
            embeddings["caption"] = self.encoder.text.embed(text_features(caption)[None])[0].astype(np.float32)
        if len(embeddings) < 2:
            return Answer(DOUBT, np.array([0.5, 0.5]), embeddings)
        cosine = float(embeddings["photo"] @ embeddings["caption"])
        fits = float(1 / (1 + np.exp(-(self.slope * cosine + self.intercept))))
        return Answer(MATCH if fits > 0.5 else DOUBT, np.array([1 - fits, fits]), embeddings)


def train(pairs: Sequence[Pair]) -> CaptionMatcher:
    """Fit both towers, and what cosine means on photos that an encoder was not fitted on."""
    image = np.stack([image_features(pair.photo) for pair in pairs])
    text = np.stack([text_features(pair.caption) for pair in pairs])
    same, other = held_out_cosines(image, text, [pair.owner for pair in pairs])
    slope, intercept = _odds(same, other)
    return CaptionMatcher(DualEncoder.fit(image, text), slope, intercept)


def held_out_cosines(image: Floats, text: Floats, owners: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Cosines of matching pairs, and of photos with others' captions, by encoders fitted without these owners.

    In FOLDS parts by owner: crops of one photo are never on both sides.
    """
    known = {owner: place for place, owner in enumerate(dict.fromkeys(owners))}
    number = np.array([known[owner] for owner in owners])
    same, other = [], []
    for fold in range(FOLDS):
        out = number % FOLDS == fold
        encoder = DualEncoder.fit(image[~out], text[~out])
        a, b = encoder.image.embed(image[out]), encoder.text.embed(text[out])
        cosines = a @ b.T
        same.append(np.diag(cosines))
        other.append(cosines[number[out][:, None] != number[out][None, :]])
    return np.concatenate(same), np.concatenate(other)


def _odds(same: Floats, other: Floats) -> tuple[float, float]:
    """Slope and intercept of the log-odds of a match by cosine, both sides counting alike."""
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([same, other])[:, None]
    y = np.repeat([1, 0], [len(same), len(other)])
    fitted = LogisticRegression(class_weight="balanced", C=1e3, max_iter=300).fit(x, y)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
