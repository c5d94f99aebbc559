"""The second language is whole: whoever adds words in English adds them in German."""

from django.conf import settings

from tests.dashboard import catalogue

PO = settings.BASE_DIR / catalogue.FOLDER / "django.po"


def test_every_message_of_the_source_has_its_german_and_none_is_left_over(tmp_path):
    again = catalogue.made_again(tmp_path)

    known, needed = set(catalogue.entries(PO)), set(catalogue.entries(again))
    assert not needed - known, "run makemessages and translate what is new"
    assert not known - needed, "run makemessages: no page says this any more"


def test_nothing_is_untranslated_or_doubtful(tmp_path):
    for kind in ("--untranslated", "--only-fuzzy"):
        catalogue.gettext("msgattrib", kind, "--no-wrap", "-o", tmp_path / "left.po", PO)
        assert not (tmp_path / "left.po").exists() or not catalogue.entries(tmp_path / "left.po")


def test_every_german_message_keeps_the_placeholders():
    wrong = [
        (english, german)
        for english, german in catalogue.pairs()
        if sorted(catalogue.PLACEHOLDER.findall(english)) != sorted(catalogue.PLACEHOLDER.findall(german))
    ]

    assert not wrong


def test_what_is_read_at_run_time_is_what_was_translated(tmp_path):
    catalogue.gettext("msgfmt", "--check-format", "-o", tmp_path / "again.mo", PO)

    assert catalogue.gettext("msgunfmt", PO.with_suffix(".mo")) == catalogue.gettext("msgunfmt", tmp_path / "again.mo")
