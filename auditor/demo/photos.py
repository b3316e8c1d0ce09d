"""Photos with captions: a folder in COCO's layout, or pictures drawn on the spot with captions from templates.

The built-in pictures are synthesised and said to be: a coloured shape on a ground, and a sentence that names both. `--data
DIR` takes real photos with several captions each instead, as `DIR/captioned-photos/` or DIR itself: `annotations/captions_
<part>.json` beside `<part>/<file name>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import ConfigurationError
from auditor.ports import Damage

Photo = NDArray[np.uint8]
FOLDER = "captioned-photos"
FEWEST = 40
"""Photos below which there is nothing to train on and nothing to hold out."""
TRAINED_ON = 0.6
"""Share of the photos that the encoder is trained on; calls bring the others."""
SIDE = 160
"""Longest side at which real photos are kept, pixels."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and a caption that belongs to it; `owner` is what the photo shows, equal for crops of one photo."""

    owner: Hashable
    photo: Photo
    caption: str


class Pairs(Protocol):
    """Where photos and captions come from."""

    @property
    def name(self) -> str: ...

    def training(self, rng: np.random.Generator) -> list[Pair]:
        """Pairs to train on: of photos that no call brings."""

    def subjects(self, n: int, rng: np.random.Generator) -> list[Hashable]:
        """What the photos of n calls show, drawn independently."""

    def photo(self, subject: Any, rng: np.random.Generator) -> Photo:
        """A photo of it, shape (h, w, 3); no two are the same."""

    def caption(self, subject: Any, rng: np.random.Generator) -> str:
        """A caption of it."""


# -- drawn on the spot --------------------------------------------------------------------------------------------------

COLOURS = {
    "red": (205, 40, 35),
    "orange": (240, 140, 30),
    "yellow": (245, 220, 50),
    "green": (30, 130, 60),
    "blue": (35, 70, 190),
    "purple": (130, 50, 150),
    "white": (250, 250, 248),
    "black": (20, 20, 22),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
GROUNDS = {
    "meadow": (110, 170, 70),
    "beach": (222, 200, 150),
    "sky": (140, 190, 235),
    "night": (28, 30, 58),
    "snow": (228, 232, 238),
}
_WHERE = {
    "meadow": ("on a green meadow", "in the grass", "on the lawn of a park"),
    "beach": ("on a sandy beach", "in the sand", "on the shore among dunes"),
    "sky": ("against a clear sky", "high in the sky", "in front of a bright sky"),
    "night": ("in the dark of night", "on a moonless night", "at night"),
    "snow": ("in deep snow", "on a snowy field", "lying on fresh snow"),
}
_SIZES = {True: ("large", "big", "huge"), False: ("small", "little", "tiny")}
_OPENINGS = ("a", "one", "there is a", "picture of a", "here we see a", "someone left a")
_CLOSINGS = ("", " in the morning", " around noon", ", seen from afar", ", taken by a visitor", " for the catalogue")
_PIXELS = 64


@dataclass(frozen=True, slots=True)
class Scene:
    """What a drawn picture shows."""

    shape: str
    colour: str
    ground: str
    large: bool


class Drawn:
    """Coloured shapes on grounds with captions from templates; every call has a picture of its own."""

    name = "built-in"

    def training(self, rng: np.random.Generator) -> list[Pair]:
        pairs = []
        for owner in range(600):
            scene = self._scene(rng)
            pairs.append(Pair(owner, self.photo(scene, rng), self.caption(scene, rng)))
        return pairs

    def subjects(self, n: int, rng: np.random.Generator) -> list[Hashable]:
        return [self._scene(rng) for _ in range(n)]

    def photo(self, subject: Scene, rng: np.random.Generator) -> Photo:
        picture = np.empty((_PIXELS, _PIXELS, 3), np.float32)
        # Lighter towards the top, as most views are; grain, as every sensor gives.
        shade = 1 + rng.uniform(0.02, 0.12) * np.linspace(1, -1, _PIXELS)
        picture[:] = np.array(GROUNDS[subject.ground]) * shade[:, None, None]
        half = rng.uniform(16, 22) if subject.large else rng.uniform(8, 12)
        middle = rng.uniform(half, _PIXELS - half, 2)
        y, x = (np.indices((_PIXELS, _PIXELS)) + 0.5 - middle[:, None, None]) / half
        picture[_inside(subject.shape, y, x)] = np.array(COLOURS[subject.colour]) + rng.normal(0, 6, 3)
        picture *= rng.uniform(0.95, 1.05)
        picture += 5 * rng.standard_normal(picture.shape, np.float32)
        return np.clip(picture, 0, 255).astype(np.uint8)

    def caption(self, subject: Scene, rng: np.random.Generator) -> str:
        def one_of(words: Sequence[str]) -> str:
            return words[int(rng.integers(0, len(words)))]

        size, where = one_of(_SIZES[subject.large]), one_of(_WHERE[subject.ground])
        said = f"{one_of(_OPENINGS)} {size} {subject.colour} {subject.shape} {where}{one_of(_CLOSINGS)}."
        return said[0].upper() + said[1:]

    def _scene(self, rng: np.random.Generator) -> Scene:
        shape, colour, ground = (int(rng.integers(0, len(names))) for names in (SHAPES, COLOURS, GROUNDS))
        return Scene(SHAPES[shape], [*COLOURS][colour], [*GROUNDS][ground], bool(rng.integers(0, 2)))


def _inside(shape: str, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels of a shape of half-width 1 around the origin, y downwards."""
    far = np.maximum(np.abs(x), np.abs(y))
    found: NDArray[np.bool_]
    if shape == "circle":
        found = x**2 + y**2 < 1
    elif shape == "square":
        found = far < 0.9
    elif shape == "triangle":
        found = (y < 0.9) & (np.abs(x) < (y + 1) / 1.9)
    elif shape == "cross":
        found = (far < 1) & (np.minimum(np.abs(x), np.abs(y)) < 0.33)
    else:
        found = np.abs(np.hypot(x, y) - 0.75) < 0.25
    return found


# -- real photos --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Captioned:
    """Real photos, each with its captions; `train` and `pool` are places in them, and share none.

    There may be a hundred photos for thousands of calls. Each call has a crop of its own (75 to 100 % of each side, mirrored
    or not, up to 5 % brighter or darker). Calls are drawn independently from the pool, so that two days of quiet traffic have
    one and the same distribution; what is found holds for this pool, and says nothing of photos at large.
    """

    name: str
    photos: Sequence[Photo]
    captions: Sequence[Sequence[str]]
    train: Sequence[int]
    pool: Sequence[int]
    damage: list[Damage] = field(default_factory=list)

    def training(self, rng: np.random.Generator) -> list[Pair]:
        """Two crops of each training photo with each of its captions."""
        return [
            Pair(place, self.photo(place, rng), caption)
            for place in self.train
            for caption in self.captions[place]
            for _ in range(2)
        ]

    def subjects(self, n: int, rng: np.random.Generator) -> list[Hashable]:
        return [self.pool[place] for place in rng.integers(0, len(self.pool), n).tolist()]

    def photo(self, subject: int, rng: np.random.Generator) -> Photo:
        photo = self.photos[subject]
        height, width = (int(size * rng.uniform(0.75, 1)) for size in photo.shape[:2])
        top, left = (int(rng.integers(0, full - size + 1)) for full, size in zip(photo.shape, (height, width)))
        crop = photo[top : top + height, left : left + width]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        lit: Photo = np.clip(crop * rng.uniform(0.95, 1.05), 0, 255).astype(np.uint8)
        return lit

    def caption(self, subject: int, rng: np.random.Generator) -> str:
        captions = self.captions[subject]
        return captions[int(rng.integers(0, len(captions)))]


def captioned(folder: Path) -> Captioned:
    """Photos and captions of a folder in COCO's layout; whatever cannot be read is left out and named.

    Raises
    ------
    ConfigurationError
        `no_data`: no such folder, no readable list of captions, or fewer than 40 photos.
    """
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    lists = sorted(root.glob("annotations/captions_*.json"))
    if not lists:
        raise ConfigurationError(
            "no_data",
            "annotations/captions_<part>.json is not there",
            where=str(root),
            fix="lay the folder out as COCO does, or leave --data out",
        )
    damage: list[Damage] = []
    photos: list[Photo] = []
    captions: list[list[str]] = []
    for listed in lists:
        part = root / listed.stem.removeprefix("captions_")
        for name, said in _listed(listed, damage):
            photo = _decoded(part, name, damage)
            if photo is not None:
                photos.append(photo)
                captions.append(said)
    if len(photos) < FEWEST:
        raise ConfigurationError(
            "no_data", f"only {len(photos)} captioned photos can be read", where=str(root), fix=f"give {FEWEST} or more"
        )
    order = np.random.default_rng(20260101).permutation(len(photos)).tolist()
    cut = round(len(photos) * TRAINED_ON)
    return Captioned(folder.resolve().name, photos, captions, order[:cut], order[cut:], damage)


def _listed(path: Path, damage: list[Damage]) -> list[tuple[str, list[str]]]:
    """File name and captions of each photo of one list, in its order; those without captions are left out."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: str(image["file_name"]) for image in document["images"]}
        captions: dict[str, list[str]] = {name: [] for name in names.values()}
        for annotation in document["annotations"]:
            said = " ".join(str(annotation["caption"]).split())
            if said and annotation["image_id"] in names:
                captions[names[annotation["image_id"]]].append(said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        damage.append(Damage(what=f"unreadable: {type(error).__name__}: {error}", where=path.name))
        return []
    return [(name, said) for name, said in captions.items() if said]


def _decoded(part: Path, name: str, damage: list[Damage]) -> Photo | None:
    from PIL import Image

    try:
        # A list of captions may come from anywhere: it names files below its part, and none elsewhere.
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError("outside of its folder")
        with Image.open(part / name, formats=("JPEG", "PNG", "WEBP")) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            plain = image.convert("RGB")
        plain.thumbnail((SIDE, SIDE))
        return np.asarray(plain)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        damage.append(Damage(what=f"unreadable: {type(error).__name__}", where=f"{part.name}/{name}", lost=1))
        return None


# -- words --------------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]+")
_FILLING = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at by for from has here her his in into is it its next near of off on one or some someone that "
        "the their there this to two up very we while who with",
    )
)


def hashtags(caption: str) -> str:
    """The caption's words in another style.

    >>> hashtags("A man is in a kitchen making pizzas.")
    '#man #kitchen #making #pizzas'
    """
    words = content_words(caption) or _WORD.findall(caption.lower())
    return " ".join(f"#{word}" for word in words)


def content_words(caption: str) -> list[str]:
    """Words in lower case, without those that only hold the sentence together."""
    return [word for word in _WORD.findall(caption.lower()) if word not in _FILLING]


def grams(caption: str) -> list[str]:
    """Words and pairs of neighbouring words, plurals cut: what the text tower counts.

    >>> grams("Two dogs on the beach.")
    ['dog', 'beach', 'dog beach']
    """
    words = [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in content_words(caption)]
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]
