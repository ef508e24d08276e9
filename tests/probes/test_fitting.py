"""Training by a recipe: deterministic, best weights kept, resumed as if never stopped."""

import time
import zipfile
from dataclasses import replace

import pytest
import torch

from probes import checkpoints, fitting
from probes.fitting import Paused, answers, fit, optimizer_of, rate_factor
from probes.recipes import Training, setting
from theory.errors import BadRequest


def tiny(recipe="fair", scheme="scheme-one", seed=0, model=None, **training):
    plan = {"steps": 30, "batch": 16, "every": 10, "warmup": 3, **training}
    shape = {"layers": 1, **(model or {})}
    return setting(recipe, scheme, 4, seed=seed, model=shape, training=plan)


def weights(found):
    return torch.cat([value.flatten() for value in found.model.state_dict().values()])


@pytest.mark.parametrize("recipe", ["released", "fair"])
def test_equal_settings_give_equal_weights(recipe):
    first = fit(tiny(recipe))
    torch.manual_seed(99)
    assert torch.equal(weights(fit(tiny(recipe))), weights(first))
    assert not torch.equal(weights(fit(tiny(recipe, seed=1))), weights(first))


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(tiny("released"))
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("scheme", "model"),
    [
        ("scheme-one", {}),
        ("scheme-one", {"architecture": "encoder"}),
        ("mixed", {}),
        ("scheme-one", {"classes": 3}),
    ],
)
def test_training_learns(scheme, model):
    found = fit(tiny(scheme=scheme, model=model, steps=120, every=40, rate=5e-3))
    assert found.history[0][0] == 0
    assert found.score < 0.8 * found.history[0][1]


def test_the_best_weights_are_returned_even_if_training_ends_badly():
    # The rate rises to the end, so the last weights are not the best ones.
    one = tiny(rate=1.0, warmup=60, steps=60, clip=None)
    found = fit(one)
    scores = [score for _, score in found.history]
    assert found.score == min(scores) < scores[-1]
    assert dict(found.history)[found.step] == found.score
    run = fitting._Run(one)
    inputs, wanted = run._validation
    error = answers(found.model, inputs.double()) - wanted
    spread = (wanted - wanted.mean(dim=0)).square().mean()
    assert float((error.square().mean() / spread).sqrt()) == pytest.approx(found.score, rel=1e-4)


def test_no_two_mini_batches_are_the_same(monkeypatch):
    drawn = []
    draw = fitting._Run._draw
    monkeypatch.setattr(
        fitting._Run, "_draw", lambda run, *what: drawn.append(draw(run, *what)) or drawn[-1]
    )
    fit(tiny())
    assert len({float(inputs[0, 0, 0]) for inputs, _ in drawn}) == len(drawn) == 31


def test_training_stops_after_patience():
    found = fit(tiny(rate=3.0, warmup=1, steps=1000, patience=2, clip=None))
    assert found.steps < 1000
    assert found.steps == found.step + 20


@pytest.mark.parametrize("recipe", ["released", "fair"])
def test_a_training_stopped_anywhere_ends_as_an_unbroken_one(recipe, tmp_path):
    one = tiny(recipe, steps=50)
    unbroken = fit(one)
    for _ in range(4):  # one evaluation at a time
        with pytest.raises(Paused):
            fit(one, checkpoint=tmp_path / "c", deadline=time.monotonic())
    found = fit(one, checkpoint=tmp_path / "c", deadline=time.monotonic())
    assert torch.equal(weights(found), weights(unbroken))
    assert found.history == unbroken.history
    assert (found.score, found.step, found.steps) == (
        *(unbroken.score, unbroken.step),
        unbroken.steps,
    )


def test_a_killed_training_goes_on_from_its_last_save(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)
    one = tiny()

    class Killed(BaseException):
        pass

    def kill(step, *_):
        if step == 30:
            raise Killed

    with pytest.raises(Killed):
        fit(one, checkpoint=tmp_path / "c", progress=kill)
    heard = []
    found = fit(one, checkpoint=tmp_path / "c", progress=lambda step, *_: heard.append(step))
    assert heard == [30]
    assert torch.equal(weights(found), weights(fit(one)))


def test_checkpoints_of_other_settings_and_other_files_are_refused(tmp_path):
    file = tmp_path / "c"
    with pytest.raises(Paused):
        fit(tiny(), checkpoint=file, deadline=0.0)
    with pytest.raises(BadRequest, match="belongs to a training with other settings"):
        fit(tiny(seed=1), checkpoint=file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BadRequest, match="not a whole checkpoint"):
        fit(tiny(), checkpoint=file)
    torch.save({"weights": torch.zeros(2)}, file)
    with pytest.raises(BadRequest, match="not a checkpoint of `probes`"):
        fit(tiny(), checkpoint=file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: found.pop("key"), "belongs to a training with other settings"),
        (lambda found: found.pop("state"), "it holds no state"),
        (lambda found: found.update(state=3), "it holds no state"),
        (lambda found: found["state"].pop("step"), "its state is incomplete"),
        (lambda found: found["state"].update(model={}), "its state is incomplete"),
        (lambda found: found["state"].update(history=[1]), "its state is incomplete"),
        (lambda found: found["state"].update(optimizer=None), "its state is incomplete"),
    ],
)
def test_checkpoints_without_a_part_are_told(tmp_path, change, says):
    """Found by the fuzzer: KeyError."""
    with pytest.raises(Paused):
        fit(tiny(), checkpoint=tmp_path / "c", deadline=0.0)
    found = torch.load(tmp_path / "c", weights_only=True)
    change(found)
    torch.save(found, tmp_path / "c")
    with pytest.raises(BadRequest, match=says):
        fit(tiny(), checkpoint=tmp_path / "c")


def test_a_changed_number_in_a_checkpoint_is_seen(tmp_path):
    with pytest.raises(Paused):
        fit(tiny(), checkpoint=tmp_path / "c", deadline=0.0)
    data = bytearray((tmp_path / "c").read_bytes())
    with zipfile.ZipFile(tmp_path / "c") as archive:
        member = next(m for m in archive.infolist() if m.filename.endswith("data/0"))
    name, more = data[member.header_offset + 26 :][:2], data[member.header_offset + 28 :][:2]
    start = member.header_offset + 30 + int.from_bytes(name, "little")
    data[start + int.from_bytes(more, "little")] ^= 1
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(BadRequest, match="not a whole checkpoint"):
        fit(tiny(), checkpoint=tmp_path / "c")


def test_no_code_of_a_checkpoint_is_run(tmp_path):
    class Code:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"format": checkpoints.FORMAT, "key": "k", "state": Code()}, tmp_path / "c")
    with pytest.raises(BadRequest, match="not a whole checkpoint"):
        checkpoints.read(tmp_path / "c", "k")


def test_decay_spares_norms_and_biases_unless_coupled():
    module = fitting.TokenModel(tiny(model={"positions": "learned"}).model)
    fair = optimizer_of(module, Training())
    decays = {id(p): g["weight_decay"] for g in fair.param_groups for p in g["params"]}
    for name, parameter in module.named_parameters():
        matrix = name.endswith("weight") and "norm" not in name
        assert (decays[id(parameter)] > 0) == matrix, name
    (group,) = optimizer_of(module, Training(coupled=True, decay=0.05)).param_groups
    assert group["weight_decay"] == 0.05
    assert len(group["params"]) == len(list(module.parameters()))
    assert not isinstance(optimizer_of(module, Training(coupled=True)), torch.optim.AdamW)


def test_the_rate_warms_up_and_falls_on_a_cosine():
    plan = Training(steps=100, warmup=10)
    factors = [rate_factor(step, plan) for step in range(100)]
    assert factors[0] == 0.1 and factors[9] == factors[10] == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] < 1e-3
    released = replace(plan, steps=200, warmup=400)
    assert rate_factor(199, released) == 0.5


def test_clipping_bounds_the_gradient():
    # One step of plain descent shows the gradient; Adam's own scaling would hide it.
    norms = []
    for clip in (None, 1e-3):
        run = fitting._Run(tiny(clip=clip))
        run.advance()
        gradients = [p.grad.flatten() for p in run._model.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
    assert norms[0] > 0.1
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)
