"""The small dual encoder: one space, known answers, and figures on what it was not fitted on."""

import numpy as np
import pytest

from auditor.demo import dual_encoder
from auditor.demo.dual_encoder import (
    DOUBT,
    MATCH,
    SHARED,
    WORDS,
    CaptionMatcher,
    DualEncoder,
    held_out_cosines,
    image_features,
    text_features,
)
from auditor.demo.photos import Drawn


@pytest.fixture(scope="module")
def matcher() -> CaptionMatcher:
    return dual_encoder.train(Drawn().training(np.random.default_rng(1)))


def test_a_photo_and_its_mirror_image_have_the_same_features() -> None:
    photo = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    features = image_features(photo)
    assert features.shape == (121,)
    np.testing.assert_allclose(features, image_features(photo[:, ::-1]), atol=1e-12)


def test_features_of_a_grey_photo_by_hand() -> None:
    features = image_features(np.full((50, 70, 3), 51, np.uint8))
    means, spreads = features[:12].reshape(4, 3), features[12:24]
    np.testing.assert_allclose(means, [[0.2, 0, 0]] * 4, atol=1e-12)
    np.testing.assert_allclose(spreads, 0, atol=1e-12)
    assert features[24:56].sum() == 0  # no edges
    histogram = features[56:120]
    assert histogram[0] == 1
    assert histogram.sum() == 1
    assert features[120] == pytest.approx(0.2)


def test_counts_of_a_caption() -> None:
    counts = text_features("Two dogs on the beach.")
    assert counts.shape == (WORDS,)
    assert counts.sum() == 3  # dog, beach, dog beach
    assert text_features("").sum() == 0


def test_towers_of_one_latent_meet_in_one_space() -> None:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(2000, 30))
    image = latent @ rng.normal(size=(30, 40)) + 0.05 * rng.normal(size=(2000, 40))
    text = np.exp(latent[:, :30] @ rng.normal(size=(30, 60)) * 0.1)
    text = np.concatenate([text, np.zeros((2000, WORDS - 60))], axis=1) * (rng.random((2000, WORDS)) < 0.9)
    encoder = DualEncoder.fit(image[:1500], text[:1500])
    a, b = encoder.image.embed(image[1500:]), encoder.text.embed(text[1500:])
    np.testing.assert_allclose((a**2).sum(axis=1), 1)
    assert (a * b).sum(axis=1).mean() > 0.4
    assert abs((a * np.roll(b, 1, axis=0)).sum(axis=1).mean()) < 0.1


def test_matching_captions_win_on_pictures_it_was_not_fitted_on(matcher: CaptionMatcher) -> None:
    source, rng = Drawn(), np.random.default_rng(2)
    scenes = source.subjects(300, rng)
    photos = [source.photo(scene, rng) for scene in scenes]
    captions = [source.caption(scene, rng) for scene in scenes]
    right = [matcher.read(photo, caption).label for photo, caption in zip(photos, captions)]
    wrong = [matcher.read(photo, caption).label for photo, caption in zip(photos, captions[1:] + captions[:1])]
    assert right.count(MATCH) > 270
    assert wrong.count(DOUBT) > 240


def test_held_out_cosines_never_see_a_photo_twice() -> None:
    # Features are the owner's own noise: nothing can be learnt that holds for another owner, however often crops repeat.
    rng = np.random.default_rng(4)
    owners = np.repeat(np.arange(200), 5)
    image = rng.normal(size=(200, 40))[owners] + 0.01 * rng.normal(size=(1000, 40))
    text = (rng.random((200, WORDS)) < 0.02).astype(float)[owners]
    same, other = held_out_cosines(image, text, owners.tolist())
    assert len(same) == 1000
    assert abs(same.mean() - other.mean()) < 0.1


def test_answers_carry_both_embeddings_of_one_space(matcher: CaptionMatcher) -> None:
    source, rng = Drawn(), np.random.default_rng(2)
    scene = source.subjects(1, rng)[0]
    answer = matcher.read(source.photo(scene, rng), source.caption(scene, rng))
    assert set(answer.embeddings) == {"photo", "caption"}
    for vector in answer.embeddings.values():
        assert vector.shape == (SHARED,)
        assert vector.dtype == np.float32
        assert float((vector**2).sum()) == pytest.approx(1, abs=1e-5)
    assert answer.scores.sum() == pytest.approx(1)
    assert answer.label == (MATCH if answer.scores[1] > 0.5 else DOUBT)


def test_nothing_to_compare_is_doubt(matcher: CaptionMatcher) -> None:
    alone = matcher.read(None, "A red circle in the grass.")
    assert (alone.label, alone.scores.tolist(), list(alone.embeddings)) == (DOUBT, [0.5, 0.5], ["caption"])
    assert matcher.read(None, None).embeddings == {}


def test_training_is_a_function_of_its_pairs() -> None:
    pairs = Drawn().training(np.random.default_rng(9))[:120]
    first, second = dual_encoder.train(pairs), dual_encoder.train(pairs)
    assert (first.slope, first.intercept) == (second.slope, second.intercept)
    np.testing.assert_array_equal(first.encoder.image.matrix, second.encoder.image.matrix)
