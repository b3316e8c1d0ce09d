"""Text figures counted by hand; languages; personal data with valid and invalid check digits; texts made to be slow."""

import time

import pytest

from auditor.core.errors import DescribeError
from auditor.descriptors._language import FUNCTION_WORDS
from auditor.descriptors._personal import iban, luhn
from auditor.descriptors.text import MAX_CHARACTERS, PLUGIN


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


@pytest.mark.parametrize("language", SENTENCES)
def test_language(language):
    assert describe(SENTENCES[language])["language"] == language


def test_what_does_not_tell_is_undetermined():
    for text in ("ok", "Xq zzt", "JSON HTTP"):
        assert describe(text)["language"] == "und"
    assert describe("12345")["language"] is None


def test_function_words_are_lower_case_words():
    for language, words in FUNCTION_WORDS.items():
        assert words == words.lower(), language
        assert all(word.isalpha() for word in words.split()), language


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
    "version 1.2.3.4.5 at 300.1.1.1 at 12:30:45": {"ip_count": 0},
    "on 2024-01-02 and 02.01.2024 and 12/31/2024": {"phone_count": 0},
    "order 123456789012 of 10.000 units, pi 3.14159265358979": {"phone_count": 0, "card_count": 0},
    "a :: b and :: c": {"ip_count": 0},
}


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data(text):
    kinds = ("email_count", "phone_count", "iban_count", "card_count", "ip_count")
    expected = {**dict.fromkeys(kinds, 0), **PERSONAL[text]}
    figures = describe(text)
    assert {kind: figures[kind] for kind in kinds} == expected


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
