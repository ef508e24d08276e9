"""P3 in words: every sentence needs the certified numbers that carry it."""

from dataclasses import replace

from probes import mechanism
from probes.certified import Certified
from probes.recipes import setting
from probes.tables import Group


def one(verdict, sup, target=(2.0, 2.0), longest=(0.0, 0.0), reason=""):
    return Certified(0, verdict, reason, sup, target, longest, 32, sup[0] if sup else None)


def section(*certified, recipe="fair"):
    group = Group(setting(recipe, "scheme-one", 4), (), len(certified), certified)
    return mechanism.section([group])


def test_nothing_certified_decides_nothing():
    for text in (section(), section(Certified(0, "UNDECIDED", "not tried for d > 16"))):
        assert "**not decided here**" in text
        assert "P3**" not in text


def test_a_good_model_without_plateaus_speaks_against():
    text = section(one("REFUTED", (0.019, 0.0201), longest=(0.001, 0.00123)))
    assert "**Against P3**: on 1 of 1 certified curves (1 fair)" in text
    assert "at most 0.011 (fair) of the target's range" in text
    assert "is at most 0.00123 wide" in text
    assert "nothing for\nother curves" in text
    for absent in ("As P3 says", "Neither for nor against"):
        assert absent not in text


def test_a_plateau_of_a_good_model_is_as_p3_says():
    text = section(one("PROVED", (0.3, 0.3), longest=(0.2, 0.3)))
    assert "**As P3 says**: on 1 of 1" in text
    assert "not a staircase" in text
    assert "Against P3" not in text


def test_a_model_no_better_than_a_constant_shows_nothing():
    text = section(one("PROVED", (1.0, 1.1)), one("REFUTED", (1.5, 1.5)))
    assert "**Neither for nor against P3**: on 2 of 2" in text
    assert "a plateau is proved on 1 of these" in text
    assert "Against P3**" not in text.replace("Neither for nor against P3**", "")
    assert "As P3 says" not in text


def test_what_the_brackets_leave_open_is_not_claimed():
    for verdict in ("REFUTED", "PROVED"):
        assert "P3**" not in section(one(verdict, (0.4, 1.2)))
    undecided = section(one("UNDECIDED", (0.1, 0.2), reason="no time"))
    assert "P3**" not in undecided
    assert "UNDECIDED (no time): 1" in undecided


def test_a_line_names_brackets_width_and_readout():
    first = replace(one("PROVED", (1.5, 1.75), longest=(0.5, 0.51)), readout="LayerNorm: so")
    text = section(first, one("PROVED", (2.0, 2.0), longest=(0.1, 0.625)))
    assert "plateau PROVED: 2. Sup error in [1.5, 1.75]; [2, 2]." in text
    assert "longest plateau of any place is [0.5, 0.625] wide in t. LayerNorm: so." in text


def test_the_legend_says_why_columns_are_empty():
    group = Group(setting("fair", "scheme-one", 4), (), 1)
    assert "not asked for" in mechanism.legend([group])
    full = Group(group.setting, (), 1, (one("REFUTED", (0.1, 0.1)),))
    assert "proved bracket" in mechanism.legend([full])
