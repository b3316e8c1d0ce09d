"""Plants on the calendar, and the uploads of one day with an incident in them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.core.window import DAY
from auditor.demo.image_text import day_of_uploads, plants_for, swapped
from auditor.demo.photos import Drawn
from auditor.demo.plants import PLANTS, Plant, active, plan

BEGIN = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "plants", [PLANTS, plants_for("built-in"), plants_for("data")], ids=["digits", "drawn", "real"]
)
@given(days=st.integers(14, 60))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_plants_keep_their_order_and_leave_quiet_days(plants: tuple[Plant, ...], days: int) -> None:
    planned = plan(BEGIN, days, plants)
    assert [entry.plant for entry in planned] == list(plants)
    assert planned[0].start >= BEGIN + DAY or days < 21
    assert planned[-1].end <= BEGIN + days * DAY
    for entry, following in pairwise(planned):
        assert entry.start < entry.end <= following.start
        assert active(list(planned), entry.start) == entry.plant.id
    quiet = [day for day in range(days) if not active(list(planned), BEGIN + day * DAY)]
    assert len(quiet) >= 5


def test_a_plant_that_stays_lasts_to_the_end() -> None:
    planned = plan(BEGIN, 30, PLANTS)
    assert [entry.plant.id for entry in planned if entry.end == BEGIN + 30 * DAY] == ["heavier-version"]


def test_image_text_incidents_are_two_quiet_days_apart_and_judged_alone() -> None:
    # Explained is what opens up to two windows after an incident: so none can be put down to another's cause.
    for days in (14, 21):
        planned = plan(BEGIN, days, plants_for("built-in"))
        assert all(following.start - entry.end >= 2 * DAY for entry, following in pairwise(planned)), days
    swap = next(plant for plant in plants_for("data") if plant.id == "captions-swapped")
    assert "image" not in swap.affects
    assert "text" not in swap.affects


def uploads(incident: str, seed: int = 1, number: int = 8) -> list:
    return list(day_of_uploads(Drawn(), BEGIN, number, seed, incident))


def test_a_day_is_a_function_of_seed_and_number() -> None:
    first, second, other = uploads(""), uploads(""), uploads("", seed=2)
    assert [upload.caption for upload in first] == [upload.caption for upload in second]
    assert all(np.array_equal(a.photo, b.photo) for a, b in zip(first, second) if a.photo is not None)
    assert [upload.caption for upload in first] != [upload.caption for upload in other]
    times = [upload.time for upload in first]
    assert times == sorted(times)
    assert times[0] >= BEGIN
    assert times[-1] < BEGIN + timedelta(days=1)
    assert len({upload.id for upload in first}) == 400


def test_a_quiet_day_has_few_wrong_captions_and_few_missing_photos() -> None:
    day = uploads("")
    assert 2 <= sum(upload.truth == "doubt" for upload in day) <= 25
    assert sum(upload.photo is None for upload in day) <= 14


class Numbered:
    """Subjects are numbers, and both photo and caption say which."""

    name = "data"

    def subjects(self, n: int, rng: np.random.Generator) -> list[int]:
        return rng.integers(0, 40, n).tolist()

    def photo(self, subject: int, rng: np.random.Generator) -> np.ndarray:
        return np.full((4, 4, 3), 5 * subject, np.uint8)

    def caption(self, subject: int, rng: np.random.Generator) -> str:
        return f"photo {subject}"


@pytest.mark.parametrize(("name", "share"), [("built-in", 0.35), ("data", 1.0)])
def test_swapping_captions_moves_pairs_and_nothing_else(name: str, share: float) -> None:
    pairs = Numbered()
    pairs.name = name
    assert swapped(name) == share
    day = list(day_of_uploads(pairs, BEGIN, 8, 1, "captions-swapped", calls=2000))
    quiet = list(day_of_uploads(pairs, BEGIN, 8, 1, "", calls=2000))
    # The same captions as on the quiet day, in other places; the photos where they were.
    assert sorted(upload.caption for upload in day) == sorted(upload.caption for upload in quiet)
    assert all(
        np.array_equal(a.photo, b.photo) for a, b in zip(day, quiet) if a.photo is not None and b.photo is not None
    )
    wrong = [upload for upload in day if upload.truth == "doubt"]
    # One in forty swapped captions is right by chance.
    assert len(wrong) / len(day) == pytest.approx(share * 39 / 40, abs=0.04)
    for upload in day:
        if upload.photo is not None:
            fits = upload.caption == f"photo {int(upload.photo[0, 0, 0]) // 5}"
            assert upload.truth == ("match" if fits else "doubt")


def test_each_incident_touches_its_own_input() -> None:
    quiet, dark, tags, gone = (
        uploads(name) for name in ("", "camera-darkens", "captions-as-hashtags", "photos-missing")
    )
    bright = np.mean([upload.photo.mean() for upload in quiet if upload.photo is not None])
    assert np.mean([upload.photo.mean() for upload in dark if upload.photo is not None]) < 0.82 * bright
    assert [upload.caption for upload in dark] == [upload.caption for upload in quiet]
    assert all(upload.caption.startswith("#") for upload in tags)
    assert 80 < sum(upload.photo is None for upload in gone) < 160
    assert [upload.truth for upload in gone] == [upload.truth for upload in quiet]
