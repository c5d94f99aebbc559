"""Amounts in forms: what a form shows it accepts, what can be read in two ways is asked back."""

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from accounts.forms import PercentField as PolicyPercentField
from common import figures, inputs
from dashboard.core import quantities
from dashboard.forms.fields import MOST_MICRO, CreditsField, PercentField
from dashboard.forms.nodes import TermsForm

LANGUAGES = ["en", "de"]


def price_as_shown(micro, language):
    with translation.override(language):
        return figures.localised(quantities.price(micro))


@given(st.integers(0, MOST_MICRO), st.sampled_from(LANGUAGES))
def test_a_price_that_a_form_or_a_page_shows_is_accepted_as_it_stands(micro, language):
    with translation.override(language):
        field = CreditsField()

        assert field.clean(field.prepare_value(micro)) == micro
        assert field.prepare_value(field.prepare_value(micro)) == field.prepare_value(micro)
        assert field.clean(price_as_shown(micro, language)) == micro


@given(st.integers(0, MOST_MICRO), st.permutations(LANGUAGES))
def test_a_price_copied_from_a_page_in_the_other_language_is_read_right_or_asked_back(micro, languages):
    here, there = languages
    with translation.override(here):
        try:
            found = CreditsField().clean(price_as_shown(micro, there))
        except ValidationError as refused:
            found = refused.code

    assert found in (micro, "two_ways")


@given(st.integers(-(10**15), 10**15), st.sampled_from(LANGUAGES))
def test_an_amount_that_a_form_shows_is_accepted_whatever_its_sign(micro, language):
    with translation.override(language):
        field = inputs.CreditsField()

        assert field.clean(field.prepare_value(micro)) == micro


@given(st.integers(0, 10_000), st.sampled_from(LANGUAGES))
def test_a_share_that_a_form_shows_is_accepted(points, language):
    with translation.override(language):
        for field in (PercentField(), PolicyPercentField()):
            assert field.clean(field.prepare_value(points)) == points


@pytest.mark.parametrize(
    ("written", "micro"),
    [
        ("1,000.00", 1_000_000_000),
        ("1.000,00", 1_000_000_000),
        ("1,000,000", 1_000_000_000_000),
        ("1.000.000", 1_000_000_000_000),
        ("1000", 1_000_000_000),
        ("1000.5", 1_000_500_000),
        ("1234,567", 1_234_567_000),
        ("0,85", 850_000),
        ("0.850", 850_000),
        ("0,850", 850_000),
        (" 12.5 ", 12_500_000),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_clear_is_accepted_in_both_languages(language, written, micro):
    with translation.override(language):
        assert CreditsField().clean(written) == micro


@pytest.mark.parametrize(
    ("language", "written", "words"),
    [
        ("en", "1,000", "Found “1,000”, which can be read in two ways; write 1000 or 1.000"),
        ("de", "1.000", "„1.000“ lässt sich auf zwei Arten lesen; schreiben Sie 1000 oder 1,000"),
        ("de", "12.345", "„12.345“ lässt sich auf zwei Arten lesen; schreiben Sie 12345 oder 12,345"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_both(language, written, words):
    with translation.override(language):
        with pytest.raises(ValidationError) as refused:
            CreditsField().clean(written)

        assert refused.value.messages == [words]


@pytest.mark.parametrize(("language", "written"), [("en", "1.234"), ("de", "1,234")])
def test_three_decimals_after_the_mark_of_the_language_are_decimals(language, written):
    with translation.override(language):
        assert CreditsField().clean(written) == 1_234_000


@pytest.mark.parametrize(
    "written", ["1,00,000.00", "1.000.00", "1,000,00", "1..5", "1e3", "²", "1.2345678", ",", "--1"]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_no_number_is_refused(language, written):
    with translation.override(language), pytest.raises(ValidationError):
        inputs.CreditsField().clean(written)


def test_terms_of_an_expensive_node_can_be_sent_back_unchanged():
    for language in LANGUAGES:
        with translation.override(language):
            shown = TermsForm(initial={"floor_price": 1_000_000_000, "limit_lots": None})["floor_price"].value()
            form = TermsForm({"floor_price": shown})

            assert form.is_valid(), form.errors
            assert form.terms()["floor_price_micro"] == 1_000_000_000
