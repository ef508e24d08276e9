"""The recipes differ in what they say they differ in, and settings have keys of their own."""

from dataclasses import replace

import pytest

from probes.recipes import RECIPES, Training, setting
from theory.errors import BadRequest


def test_as_released():
    one = setting("released", "scheme-one", 4)
    model, plan = one.model, one.training
    assert (model.width, model.embedded, model.head) == (4, False, False)
    assert not model.causal and not model.registered and model.input_dropout > 0
    assert plan.coupled and plan.decay == 0.05
    assert plan.steps == plan.every == 200 < plan.warmup
    assert setting("released", "scheme-one", 4, model={"classes": 5}).model.head


def test_obstructed_is_fair_in_everything_but_width_and_head():
    fair, obstructed = (setting(r, "mixed", 16) for r in ("fair", "obstructed"))
    assert (fair.model.width, fair.model.head) == (66, True)
    assert (obstructed.model.width, obstructed.model.head) == (16, False)
    assert obstructed.model.obstructed and not fair.model.obstructed
    assert replace(obstructed.model, width=66, head=True) == fair.model
    assert replace(obstructed.training, rate=fair.training.rate) == fair.training
    assert fair.model.causal and fair.model.registered and not fair.training.coupled


def test_what_is_given_replaces_the_recipes():
    one = setting("fair", "mixed", 4, model={"layers": 6, "width": 32}, training={"steps": 60})
    assert (one.model.layers, one.model.width, one.training.steps) == (6, 32, 60)
    assert one.training.warmup < 60


def test_every_field_changes_the_key():
    one = setting("fair", "scheme-one", 4)
    others = [
        *(setting(recipe, "scheme-one", 4) for recipe in RECIPES if recipe != "fair"),
        setting("fair", "mixed", 4),
        setting("fair", "scheme-one", 8),
        *(replace(one, **change) for change in ({"seed": 1}, {"tests": 9}, {"revision": 99})),
        *(
            replace(one, training=replace(one.training, **change))
            for change in (
                *({"steps": 9}, {"batch": 9}, {"rate": 9.0}, {"warmup": 9}, {"every": 9}),
                *({"patience": 9}, {"decay": 9.0}, {"coupled": True}, {"clip": None}),
            )
        ),
        *(
            replace(one, model=replace(one.model, **change))
            for change in (
                *({"layers": 3}, {"heads": 1}, {"ffn": 9}, {"activation": "relu"}),
                *({"norm": "pre"}, {"positions": "learned"}, {"classes": 5}, {"dropout": 0.5}),
                *({"causal": False}, {"registered": False}, {"input_dropout": 0.5}),
            )
        ),
    ]
    keys = {one.key, *(other.key for other in others)}
    assert len(keys) == len(others) + 1
    assert setting("fair", "scheme-one", 4).key == one.key


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (("free", "mixed"), {}, "unknown recipe 'free'"),
        (("fair", "other"), {}, "no data scheme 'other'"),
        (("obstructed", "mixed"), {"model": {"classes": 5}}, "no recipe for it is obstructed"),
        (("fair", "mixed"), {"seed": -1}, "seed must be"),
        (("fair", "mixed"), {"training": {"steps": 0}}, "steps must be"),
        (("obstructed", "mixed"), {"model": {"width": 8}}, "affine maps in and out"),
    ],
)
def test_settings_that_mean_nothing_are_refused(words, options, message):
    with pytest.raises(BadRequest, match=message):
        setting(*words, 4, **options)


@pytest.mark.parametrize("wrong", [{"batch": 10**9}, {"rate": 0.0}, {"decay": -1.0}, {"every": 0}])
def test_trainings_out_of_range_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(BadRequest, match=f"{name} must be"):
        Training(**wrong)
