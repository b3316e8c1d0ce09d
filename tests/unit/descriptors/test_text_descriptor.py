"""Text figures counted by hand; words, languages, tone and personal data of labelled texts; texts made to be slow."""

import random
import time
import tomllib
import unicodedata
from pathlib import Path

import pytest

from auditor.core.errors import DescribeError
from auditor.descriptors import _language
from auditor.descriptors._common import with_libraries
from auditor.descriptors._language import FUNCTION_WORDS
from auditor.descriptors._personal import iban, luhn
from auditor.descriptors.text import MAX_CHARACTERS, PLUGIN

LABELLED = tomllib.loads((Path(__file__).parents[2] / "data/labelled_texts.toml").read_text(encoding="utf-8"))
PERSONAL_KINDS = ("email_count", "phone_count", "iban_count", "card_count", "ip_count")


def describe(text):
    return dict(PLUGIN.describe(text))


def test_counts():
    figures = describe("The cat sat. It's 3 PM!")
    assert figures["chars"] == 23
    assert figures["words"] == 5  # The cat sat It's PM
    assert figures["sentences"] == 2
    assert figures["sentence_length"] == 2.5
    assert figures["word_length"] == pytest.approx((3 + 3 + 3 + 4 + 2) / 5)
    assert figures["upper_share"] == pytest.approx(4 / 14)  # T I P M of 14 letters
    assert figures["digit_share"] == pytest.approx(1 / 23)
    assert figures["punctuation_share"] == pytest.approx(3 / 23)  # . ' !
    assert (figures["script"], figures["language"]) == ("Latin", "en")


def test_flesch_by_hand():
    # 6 words, 1 sentence, 6 syllables: 206.835 - 1.015 * 6 - 84.6.
    assert describe("The cat sat on the mat.")["readability"] == pytest.approx(116.145)


def test_word_entropy_and_repetition():
    assert describe("one two three four")["word_entropy"] == 2.0
    figures = describe("go on now go on now")
    # Triples: (go on now) (on now go) (now go on) (go on now): one of four came before.
    assert figures["repetition"] == 0.25
    assert describe("no no")["repetition"] is None


def test_sentiment_insults_and_rare_words():
    assert describe("This is a great and wonderful day")["sentiment"] == pytest.approx(2 / 7, rel=1e-6)
    assert describe("This is a terrible and broken thing")["sentiment"] == pytest.approx(-2 / 7, rel=1e-6)
    assert describe("you are a stupid idiot")["toxic_share"] == pytest.approx(0.4)
    assert describe("the man saw a quokka")["rare_word_share"] == pytest.approx(0.2)


def test_english_figures_are_absent_for_other_languages():
    figures = describe("Der Hund läuft nicht über die Straße, weil er müde ist.")
    assert figures["language"] == "de"
    names = ("readability", "sentiment", "toxic_share", "rare_word_share")
    assert [figures[name] for name in names] == [None] * 4


def test_empty_text():
    figures = describe("")
    assert (figures["chars"], figures["words"], figures["sentences"]) == (0, 0, 0)
    assert figures["upper_share"] is figures["script"] is figures["language"] is figures["word_length"] is None


SENTENCES = {
    "en": "The dog runs across the street and barks at the postman.",
    "de": "Der Hund läuft über die Straße und bellt den Briefträger an.",
    "fr": "Le chien court dans la rue et il aboie sur le facteur.",
    "es": "El perro corre por la calle y ladra al cartero.",
    "it": "Il cane corre per la strada e abbaia al postino che non ha paura.",
    "pt": "O cachorro corre pela rua e não gosta do carteiro.",
    "nl": "De hond rent over de straat en het is niet zo erg.",
    "sv": "Hunden springer över gatan och skäller på brevbäraren.",
    "da": "Hunden løber over gaden og gør af manden, men han er ikke bange.",
    "fi": "Koira on kadulla ja se ei pidä postista, mutta minä pidän.",
    "pl": "Pies biegnie przez ulicę i nie jest zmęczony.",
    "cs": "Pes běží přes ulici a není to nic nového.",
    "ro": "Câinele aleargă pe stradă și nu este obosit.",
    "hu": "A kutya az utcán fut és nem fáradt.",
    "tr": "Köpek sokakta koşuyor ve çok mutlu değil.",
    "id": "Anjing itu berlari di jalan dan tidak lelah.",
    "ru": "Собака бежит по улице и лает на почтальона, это её работа.",
    "uk": "Собака біжить вулицею і гавкає на листоношу.",
    "el": "Ο σκύλος τρέχει στον δρόμο.",
    "he": "הכלב רץ ברחוב",
    "ar": "الكلب يركض في الشارع",
    "fa": "سگ در خیابان می‌دود و پارس می‌کند چون گربه دید",
    "hi": "कुत्ता सड़क पर दौड़ता है",
    "th": "สุนัขวิ่งบนถนน",
    "ja": "犬が通りを走っています。",
    "zh": "狗在街上跑。",
    "ko": "개가 거리를 달린다.",
}


@pytest.fixture
def without_lingua(monkeypatch):
    monkeypatch.setattr(_language, "_detector", lambda: None)


@pytest.mark.parametrize("language", SENTENCES)
def test_language(language, without_lingua):
    assert describe(SENTENCES[language])["language"] == language


def test_what_does_not_tell_is_undetermined(without_lingua):
    for text in ("ok", "Xq zzt", "JSON HTTP", "bom dia", "vi ses", "доброе утро"):
        assert describe(text)["language"] == "und"
    assert describe("12345")["language"] is None


def languages_of_short_texts():
    """(right, wrong) of the labelled texts; the rest is undetermined."""
    found = [
        (language, describe(text)["language"]) for language, texts in LABELLED["language"].items() for text in texts
    ]
    assert len(found) == 84
    right = sum(one == other for one, other in found)
    return right, len(found) - right - sum(other == "und" for _, other in found)


def test_short_texts_without_the_library_are_right_or_undetermined(without_lingua):
    right, wrong = languages_of_short_texts()
    assert right >= 40
    assert wrong <= 3


def test_short_texts_with_the_library():
    pytest.importorskip("lingua", reason="lingua is not installed: pip install 'auditor[language]'")
    right, wrong = languages_of_short_texts()
    assert right >= 70
    assert wrong <= 8


def test_the_version_names_the_libraries_that_change_figures():
    assert with_libraries("3", "json", "no_such_library") == "3+json"
    assert PLUGIN.version.split("+")[0] == "2"


def test_function_words_are_lower_case_words():
    for language, words in FUNCTION_WORDS.items():
        assert words == words.lower(), language
        for word in words.split():
            assert all(letter.isalpha() or unicodedata.category(letter)[0] == "M" for letter in word), language


WORDS = {
    "मेरा छाता कल स्टेशन पर खो गया था और मुझे वह नहीं मिला": 13,
    "குடை நேற்று தொலைந்து விட்டது": 4,
    "the naïve café": 3,
    "Die Straße führt über die Brücke": 6,
    "می‌دود و می‌رود": 3,
    "co­operate with them": 3,
    "col·lecció d’art": 2,
    "صه״ל": 1,
    "狗在街上": 4,
    "カメラ テスト": 2,
    "❤️ love ❤️‍🔥": 1,
    "snake_case_name": 3,
    "don't O’Neill's rock'n'roll": 3,
}


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_follow_letters_and_their_marks_in_any_normal_form(text, form):
    figures = describe(unicodedata.normalize(form, text))
    assert figures["words"] == WORDS[text]
    assert figures["word_length"] == describe(text)["word_length"]


def test_marks_are_no_punctuation():
    assert describe("कुत्ता सड़क पर दौड़ता है")["punctuation_share"] == 0


def test_ascii_words_are_those_of_any_text():
    """Texts of ASCII letters take a shorter way to the same words."""
    chance = random.Random(0)
    pieces = ["don't", "don’t", "''a'b'", "x", " ", ".", "—", "’", "'", "3", "_", "B2B", "\n", "-", "…", "O'Neill’s"]
    for _ in range(2000):
        text = "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 12)))
        short, long = describe(text), describe(text + " 中")
        assert long["words"] == short["words"] + 1, text


def test_the_language_does_not_depend_on_the_order_of_the_words(without_lingua):
    chance = random.Random(1)
    shared = sorted(word for words in FUNCTION_WORDS.values() for word in words.split() if word.isascii())
    for _ in range(500):
        words = [chance.choice(shared) for _ in range(chance.randrange(1, 9))]
        found = describe(" ".join(words))["language"]
        chance.shuffle(words)
        assert describe(" ".join(words))["language"] == found, words


def test_tone_of_labelled_texts():
    found = [(label, (describe(text)["toxic_share"] or 0) > 0, text) for label, text in LABELLED["toxic"]["texts"]]
    assert [text for label, toxic, text in found if toxic and not label] == []
    assert sum(toxic for label, toxic, _ in found if label) >= 0.95 * sum(label for label, _, _ in found)
    signs = [(label, describe(text)["sentiment"], text) for label, text in LABELLED["sentiment"]["texts"]]
    assert [text for _, mood, text in signs if mood is None] == []
    assert [text for label, mood, text in signs if (mood > 0) - (mood < 0) != label] == []


def test_tone_of_short_texts_that_are_not_english_is_absent(without_lingua):
    for text in ("tschüss", "hyvää yötä", "привет", "zażółć gęślą"):
        assert describe(text)["toxic_share"] is None


@pytest.mark.parametrize("kind", ["email", "phone", "iban", "card", "ip"])
def test_personal_data_of_labelled_texts(kind):
    rows = LABELLED["personal"][kind]
    assert [text for count, text in rows if describe(text)[f"{kind}_count"] != count] == []
    for _, text in rows:  # the same inside a text, where it is found once
        inside = describe(f"Please note: {text}\nThank you.")[f"{kind}_count"]
        assert inside == describe(text)[f"{kind}_count"], text


def test_random_numbers_are_seldom_cards():
    chance = random.Random(2)
    found = sum(describe(f"no. {chance.randrange(10**15, 10**16)}")["card_count"] for _ in range(4000))
    assert found / 4000 < 0.035  # 27 % of the leading digits are issued, one in ten passes the check digit


def test_script_is_that_of_most_letters():
    assert describe("hello мир дорогой друг")["script"] == "Cyrillic"
    assert describe("東京タワー")["script"] == "Kana"
    assert describe("ᚠᚢᚦ")["script"] == "Other"


def test_scripts_without_spaces_count_characters():
    assert describe("狗在街上跑。")["words"] == 5
    assert describe("狗。跑。")["sentences"] == 2


PERSONAL = {
    "write to joe.doe+news@mail.example.com or ann@example.org": {"email_count": 2},
    "call +49 170 1234567 or (030) 1234-5678": {"phone_count": 2},
    "call 555-123-4567 today": {"phone_count": 1},
    "pay to DE89 3704 0044 0532 0130 00": {"iban_count": 1},
    "pay to GB82WEST12345698765432": {"iban_count": 1},
    "pay to DE89 3704 0044 0532 0130 01": {"iban_count": 0, "phone_count": 0},
    "card 4111 1111 1111 1111, also 5500-0000-0000-0004": {"card_count": 2},
    "card 4111 1111 1111 1112": {"card_count": 0},
    "from 192.168.0.1 and 2001:db8::ff00:42:8329": {"ip_count": 2},
    "face::dead and std::beef": {"ip_count": 0},
    "id 123e4567-e89b-12d3-a456-426614174000": {},
    "version 1.2.3.4.5 at 300.1.1.1 at 12:30:45": {"ip_count": 0},
    "on 2024-01-02 and 02.01.2024 and 12/31/2024": {"phone_count": 0},
    "order 123456789012 of 10.000 units, pi 3.14159265358979": {"phone_count": 0, "card_count": 0},
    "a :: b and :: c": {"ip_count": 0},
}


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data(text):
    expected = {**dict.fromkeys(PERSONAL_KINDS, 0), **PERSONAL[text]}
    figures = describe(text)
    assert {kind: figures[kind] for kind in PERSONAL_KINDS} == expected


def test_check_digits():
    # ISO 7812-1 and ISO 13616 examples.
    assert luhn("79927398713")
    assert [luhn(f"7992739871{digit}") for digit in range(10)].count(True) == 1
    assert iban("GB29NWBK60161331926819")
    assert not iban("GB29NWBK60161331926818")
    assert not iban("GB29")


def test_a_long_text_is_cut_but_counted():
    figures = describe("word " * 2_000_000)
    assert figures["chars"] == 10_000_000
    assert figures["words"] == MAX_CHARACTERS / 5


NASTY = [
    "x",
    "1",
    "1 ",
    "a@",
    "1.1.",
    "AB12 ",
    "::1",
    "aé ",
    "(0",
    "a'",
    ".",
    "日本",
    "A.b@",
    "+1-",
    "\u0301",
    "12:",
    "😀",
    "DE89 ",
    "+49 1",
    "f*",
    "idiot ",
    "ü@ü.",
    "क्",
]


@pytest.mark.parametrize("piece", NASTY)
def test_no_text_is_slow(piece):
    text = piece * (MAX_CHARACTERS // len(piece))
    started = time.process_time()
    describe(text)
    assert time.process_time() - started < 0.5


def test_what_is_no_text():
    for value in (None, 3, ["a"], {"a": 1}, 2j):
        with pytest.raises(DescribeError, match="not text"):
            PLUGIN.describe(value)
    with pytest.raises(DescribeError) as caught:
        PLUGIN.describe(b"\xff\xfe")
    assert caught.value.code == "decode_failed"
    assert describe(b"caf\xc3\xa9") == describe("café")
