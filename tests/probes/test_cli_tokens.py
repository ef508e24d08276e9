"""`probes train` for token targets and `probes paper`: files, messages, exit codes."""

import io
import sys

import pytest
import torch
from typer.testing import CliRunner

from certify import load
from probes import cli, cli_paper, cli_tokens, figures, fitting, paper
from probes.recipes import setting

QUICK = ["--steps=10", "--layers=1", "--batch=8"]


def train(*words, target="scheme-one"):
    return CliRunner().invoke(cli.app, ["train", "--target", target, *map(str, words)])


@pytest.mark.parametrize(
    ("target", "words", "shapes"),
    [
        ("scheme-one", ["--dim=3", "--architecture=encoder"], ((1, 2, 3), (1, 1, 3))),
        ("mixed", ["--recipe=obstructed", "--positions=learned"], ((1, 4, 4), (1, 3, 4))),
        ("scheme-one", ["--classes=3", "--norm=pre"], ((1, 2, 4), (1, 1, 3))),
    ],
)
def test_the_model_is_written_and_measured(target, words, shapes, tmp_path):
    file = tmp_path / "m.pt"
    result = train("-o", file, *QUICK, *words, target=target)
    assert result.exit_code == 0, result.output
    assert [member.name for member in tmp_path.iterdir()] == ["m.pt"]
    model = load(file)
    assert (tuple(model.inputs), tuple(model.outputs)) == shapes
    assert f"model       {file}" in result.stdout
    assert "10 mini-batches" in result.stdout
    wanted = "accuracy" if "--classes=3" in words else "RMSE/sd"
    assert f"\n{wanted}" in result.stdout
    assert ("no less than 0.5 is possible (C3)" in result.stdout) == ("obstructed" in words[0])


def test_several_seeds_are_tried_and_the_best_is_kept(tmp_path):
    result = train("-o", tmp_path / "m.pt", *QUICK, "--seeds=3", "--seed=5")
    assert result.exit_code == 0, result.output
    rows = dict(line.split(None, 1) for line in result.stdout.splitlines())
    scores = {
        int(part.split(":")[0].split()[-1]): float(part.split()[-1])
        for part in rows["validation"].split(", ")
    }
    assert set(scores) == {5, 6, 7}
    assert rows["setting"].endswith(f"seed {min(scores, key=scores.get)}")


def test_a_released_model_says_what_its_file_does_not_keep(tmp_path):
    result = train("-o", tmp_path / "m.pt", *QUICK, "--recipe=released")
    assert result.exit_code == 0, result.output
    assert "not kept" in result.stdout
    training = {"steps": 10, "batch": 8}
    fitted = fitting.fit(setting("released", "scheme-one", 4, model={"layers": 1},
                                 training=training))  # fmt: skip
    kept = torch.export.load(tmp_path / "m.pt").state_dict
    assert torch.equal(kept["body.decoder.norm.weight"], fitted.model.body.decoder.norm.weight)
    assert not torch.equal(kept["start"], fitted.model.start)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--polish 3", "--polish has no meaning for the target scheme-one"),
        ("--domain 0 1", "--domain has no meaning"),
        ("--recipe free", "unknown recipe 'free'"),
        ("--width 19", "width 19 is not a multiple of heads 2"),
        ("--recipe obstructed --width 18", "that needs affine maps in and out"),
        ("--recipe obstructed --classes 5", "no recipe for it is obstructed"),
        ("--seeds 0", "seeds must be at least 1"),
        ("--seeds 2 --checkpoint c", "leave --seeds at 1"),
        ("--batch 0", "batch must be at least 1"),
        ("--dim 0", "d must be at least 1"),
    ],
)
def test_options_that_mean_nothing(words, message, tmp_path, untrained):
    result = train("-o", tmp_path / "m.pt", *words.split())
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_token_options_are_refused_for_a_target_of_one_number(tmp_path):
    for words in (["--dim", "8"], ["--recipe", "fair"], ["--seeds", "1"]):
        result = train("-o", tmp_path / "m.pt", *words, target="exp")
        assert result.exit_code == 2
        assert f"{words[0]} has no meaning for a target of one number" in result.stderr


def test_an_interrupted_training_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    words = ["-o", tmp_path / "m.pt", *QUICK, "--checkpoint", tmp_path / "c"]
    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)
    advance = fitting._Run.advance

    def interrupted(run):
        if run.step == 5:
            raise KeyboardInterrupt
        advance(run)

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "advance", interrupted)
        result = train(*words)
    assert result.exit_code == 130
    assert f"the same command goes on from {tmp_path / 'c'}" in result.stderr
    assert [member.name for member in tmp_path.iterdir()] == ["c"]
    other = train(*words, "--seed=1")
    assert other.exit_code == 2 and "belongs to a training with other settings" in other.stderr
    assert train(*words).exit_code == 0
    assert [member.name for member in tmp_path.iterdir()] == ["m.pt"]
    resumed = (tmp_path / "m.pt").read_bytes()
    assert train("-o", tmp_path / "m.pt", *QUICK).exit_code == 0
    assert (tmp_path / "m.pt").read_bytes() == resumed


def test_progress_bar_on_a_terminal_only(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return terminal

    for terminal in (False, True):
        monkeypatch.setattr(sys, "stderr", Screen())
        with cli_tokens.bar() as show:
            assert (show is not None) == terminal
            if show:
                show("3 of 8 models; [fair]", 0.4)
        assert ("3 of 8 models; [fair]" in sys.stderr.getvalue()) == terminal


@pytest.fixture
def small(monkeypatch):
    """A grid of two models, and short failure curves."""
    grid = [
        setting(recipe, "scheme-one", 4, training={"steps": 10, "batch": 8},
                model={"layers": 1, "architecture": "encoder"})
        for recipe in ("obstructed", "fair")
    ]  # fmt: skip
    monkeypatch.setattr(paper.Grid, "settings", lambda _: grid)
    monkeypatch.setattr("probes.failure.SIZES", (10, 100))
    monkeypatch.setattr("probes.failure.ANSWERS", 20)
    return grid


def run_paper(*words):
    return CliRunner().invoke(cli.app, ["paper", *map(str, words)])


def test_the_paper_is_run_and_written(tmp_path, small, monkeypatch):
    def drawn(_):
        return b"<svg/>"

    monkeypatch.setattr(figures, "failure_figure", drawn)
    folder = tmp_path / "new"
    result = run_paper("-o", folder)
    assert result.exit_code == 0, result.output
    assert "models      2 of 2" in result.stdout
    assert "unfinished" not in result.stdout
    names = {member.name for member in folder.iterdir() if not member.name.startswith(".")}
    assert names == {"results", "models", "checkpoints", "results.csv", "results.md",
                     "failure.csv", "failure.svg", "findings.md"}  # fmt: skip
    assert "# The paper's experiments" in (folder / "findings.md").read_text()
    written = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    assert run_paper("-o", folder).exit_code == 0
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == written


def test_a_spent_budget_is_said_and_the_rest_is_marked(tmp_path, small):
    result = run_paper("-o", tmp_path, "--budget", 1e-6)
    assert result.exit_code == 0, result.output
    assert "models      0 of 2" in result.stdout
    assert "the same command goes on" in result.stdout
    assert "The rest is missing" in (tmp_path / "findings.md").read_text()


def test_without_matplotlib_everything_but_the_figure_is_written(tmp_path, small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run_paper("-o", tmp_path, "--budget", 1e-6)
    assert result.exit_code == 0, result.output
    assert "figure      not drawn: a figure needs matplotlib" in result.stdout
    assert (tmp_path / "failure.csv").exists()


def test_an_interrupt_says_that_the_same_command_goes_on(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(paper, "run", interrupted)
    result = run_paper("-o", tmp_path)
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--budget 0", "budget must be positive"),
        ("--dims 4,x", "--dims takes whole numbers with commas, not '4,x'"),
        ("--dims 0", "dimensions must be positive, not 0"),
        ("--layers -2", "layers must be positive"),
        ("--seeds 0", "seeds must be positive"),
        ("--threads 0", "threads must be between"),
        ("--dims 100000", "too many to train"),
    ],
)
def test_paper_options_that_mean_nothing(words, message, tmp_path):
    result = run_paper("-o", tmp_path / "f", *words.split())
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (tmp_path / "f").exists()


def test_options_choose_the_grid():
    assert cli_paper._grid(False, None, None, None) == paper.Grid()
    assert cli_paper._grid(True, None, None, None) == paper.Grid.everything()
    assert cli_paper._grid(False, "4,4,8", "2,6", 3) == paper.Grid((4, 8), (2, 6), 3)
