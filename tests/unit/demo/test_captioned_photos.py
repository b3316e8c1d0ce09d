"""Photos with captions: read from COCO's layout, or drawn on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from auditor.core.errors import ConfigurationError
from auditor.demo.photos import COLOURS, SHAPES, Drawn, captioned, content_words, grams, hashtags


def coco(root: Path, photos: int = 50, part: str = "val2017") -> Path:
    """A folder in COCO's layout: each photo of one colour, two captions each."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / part).mkdir(exist_ok=True)
    images, annotations = [], []
    for number in range(photos):
        name = f"{number:012d}.png"
        Image.new("RGB", (40, 30), (5 * number % 256, 90, 200)).save(root / part / name)
        images.append({"id": number, "file_name": name})
        annotations += [{"image_id": number, "caption": f" view {number}\n seen {time} "} for time in ("early", "late")]
    document = {"images": images, "annotations": annotations}
    (root / "annotations" / f"captions_{part}.json").write_text(json.dumps(document), encoding="utf-8")
    return root


def test_training_and_traffic_share_no_photo(tmp_path: Path) -> None:
    found = captioned(coco(tmp_path / "mine"))
    assert found.name == "mine"
    assert found.damage == []
    assert len(found.train) == 30
    assert sorted([*found.train, *found.pool]) == list(range(50))
    rng = np.random.default_rng(0)
    assert {pair.owner for pair in found.training(rng)} == set(found.train)
    assert set(found.subjects(500, rng)) == set(found.pool)


def test_a_folder_may_be_the_layout_or_hold_it(tmp_path: Path) -> None:
    coco(tmp_path / "all" / "captioned-photos")
    assert captioned(tmp_path / "all").captions == captioned(tmp_path / "all" / "captioned-photos").captions
    assert captioned(tmp_path / "all").captions[3] == ["view 3 seen early", "view 3 seen late"]


def test_each_call_has_a_crop_of_its_own(tmp_path: Path) -> None:
    found = captioned(coco(tmp_path))
    rng = np.random.default_rng(0)
    crops = [found.photo(0, rng) for _ in range(50)]
    assert all(22 <= crop.shape[0] <= 30 and 30 <= crop.shape[1] <= 40 and crop.shape[2] == 3 for crop in crops)
    assert len({crop.tobytes() + bytes(crop.shape) for crop in crops}) == 50


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    coco(tmp_path)
    broken, gone = tmp_path / "val2017" / f"{4:012d}.png", tmp_path / "val2017" / f"{5:012d}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    gone.unlink()
    (tmp_path / "annotations" / "captions_other.json").write_text('{"images": 3}', encoding="utf-8")
    found = captioned(tmp_path)
    assert len(found.photos) == 48
    assert ["view 4 seen early", "view 4 seen late"] not in found.captions
    assert {item.where: item.lost for item in found.damage} == {
        "captions_other.json": 0,
        f"val2017/{broken.name}": 1,
        f"val2017/{gone.name}": 1,
    }


def test_a_list_of_captions_names_no_file_elsewhere(tmp_path: Path) -> None:
    root = coco(tmp_path / "data")
    Image.new("RGB", (40, 30)).save(tmp_path / "private.png")
    listed = root / "annotations" / "captions_val2017.json"
    document = json.loads(listed.read_text())
    document["images"][0]["file_name"] = "../../private.png"
    listed.write_text(json.dumps(document))
    found = captioned(root)
    assert len(found.photos) == 49
    assert len(found.damage) == 1


@pytest.mark.parametrize("photos", [0, 39])
def test_too_little_data_is_refused(tmp_path: Path, photos: int) -> None:
    if photos:
        coco(tmp_path, photos)
    with pytest.raises(ConfigurationError) as error:
        captioned(tmp_path)
    assert error.value.code == "no_data"
    assert error.value.fix


@given(st.integers(0, 10_000))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_a_drawn_picture_shows_what_its_caption_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = Drawn()
    scene = source.subjects(1, rng)[0]
    photo, caption = source.photo(scene, rng), source.caption(scene, rng)
    words = content_words(caption)
    assert scene.colour in words
    assert scene.shape in words
    assert photo.shape == (64, 64, 3)
    assert photo.dtype == np.uint8
    # Some 60 pixels at least are of the colour that is named.
    near = np.abs(photo.astype(int) - np.array(COLOURS[scene.colour])).max(axis=2) < 60
    assert near.sum() > 60


def test_every_shape_is_drawn_differently() -> None:
    source = Drawn()
    rng = np.random.default_rng(5)
    seen = {scene.shape for scene in source.subjects(200, rng)}
    assert seen == set(SHAPES)


def test_hashtags_keep_the_words_and_change_the_style() -> None:
    assert hashtags("A man is in a kitchen making pizzas.") == "#man #kitchen #making #pizzas"
    assert hashtags("On it!") == "#on #it"
    assert hashtags("") == ""
    assert grams(hashtags("Two dogs on the beach.")) == grams("Two dogs on the beach.") == ["dog", "beach", "dog beach"]
