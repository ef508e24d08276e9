"""Three recipes for the paper's experiments: as released, fair, and fair but obstructed.

Where the released code is silent here (batch, rate, layer dropout), our own numbers stand.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from probes.family import TokenConfig
from probes.schemes import find_scheme
from probes.store import content_key
from theory.errors import BadRequest

RECIPES = ("released", "fair", "obstructed")
#: Raised when the same settings would give other numbers: data, model, training or metrics.
REVISION = 1
FAIR_STEPS = 3000
#: In a mini-batch; more would take gigabytes.
MOST_POINTS = 2**16
#: The released training ends at its first evaluation, inside the warm-up.
RELEASED_STEPS, RELEASED_WARMUP = 200, 400


def need_rates(rate: float, decay: float) -> None:
    """A learning rate and a weight decay that an optimizer can take.

    Raises:
        BadRequest: one of them is none.
    """
    if not 0 < rate < math.inf:
        raise BadRequest(f"rate must be positive and finite, not {rate}")
    if not 0 <= decay < math.inf:
        raise BadRequest(f"decay must be 0 or positive and finite, not {decay}")


@dataclass(frozen=True)
class Training:
    """How a `TokenModel` is trained.

    Attributes:
        steps: mini-batches, each drawn fresh.
        batch: points in one.
        rate: peak learning rate.
        warmup: mini-batches of linear warm-up; then the rate falls on a cosine to the end.
        every: mini-batches between evaluations.
        patience: evaluations without a better one before training stops.
        decay: weight decay.
        coupled: Adam with the decay in the gradient, on every parameter; otherwise AdamW,
            which spares norms, biases and single vectors.
        clip: largest norm of the gradient; None leaves it.

    Raises:
        BadRequest: a number is out of range.
    """

    steps: int = FAIR_STEPS
    batch: int = 128
    rate: float = 2e-3
    warmup: int = 100
    every: int = 100
    patience: int = 10
    decay: float = 1e-4
    coupled: bool = False
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "every", "patience"):
            if getattr(self, name) < 1:
                raise BadRequest(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.batch > MOST_POINTS:
            raise BadRequest(f"batch must be at most {MOST_POINTS}, not {self.batch}")
        need_rates(self.rate, self.decay)


@dataclass(frozen=True)
class Setting:
    """One experiment: everything that its result depends on, and nothing else.

    Attributes:
        recipe: a name from `RECIPES`; what it means is spelled out in the other fields.
        scheme: a name from `probes.schemes.SCHEMES`.
        model: the shape.
        training: how it is trained.
        seed: of weights, batches, dropout and of what a file does not keep.
        tests: test points; the same for every seed.
        revision: see `REVISION`.
    """

    recipe: str
    scheme: str
    model: TokenConfig
    training: Training
    seed: int = 0
    tests: int = 10_000
    revision: int = REVISION

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise BadRequest(f"seed must be at least 0 and below 2**63, not {self.seed}")

    def content(self) -> dict[str, object]:
        """All fields, as JSON holds them."""
        return asdict(self)

    @property
    def key(self) -> str:
        """32 hexadecimal digits that no other setting shares: SHA-256 of the content."""
        return content_key(self.content())

    @property
    def words(self) -> str:
        """The setting in a few words, for messages and progress."""
        model = self.model
        task = f"{model.classes}-way" if model.classes else "regression"
        return (
            f"{self.recipe} {model.architecture}, {self.scheme} {task}, d = {model.d}, "
            f"D = {model.width}, {model.layers} layers, seed {self.seed}"
        )


def setting(
    recipe: str,
    scheme: str,
    d: int,
    *,
    seed: int = 0,
    model: dict[str, object] | None = None,
    training: dict[str, object] | None = None,
) -> Setting:
    """The setting of a recipe.

    Args:
        recipe: "released", "fair" or "obstructed".
        scheme: "scheme-one" or "mixed".
        d: features of the task's tokens.
        seed: of everything random.
        model: fields of `TokenConfig` instead of the recipe's.
        training: fields of `Training` instead of the recipe's.

    Raises:
        BadRequest: a name is unknown or the sizes do not fit.
    """
    if recipe not in RECIPES:
        raise BadRequest(f"unknown recipe {recipe!r}; choose one of {', '.join(RECIPES)}")
    data = find_scheme(scheme)
    chosen = dict(model or {})
    classes = chosen.get("classes")
    if recipe == "obstructed" and classes:
        raise BadRequest("classification has a linear head, so no recipe for it is obstructed")
    if recipe == "released":
        shape = {"width": d, "embedded": False, "head": bool(classes), "causal": False,
                 "registered": False, "input_dropout": 0.1, "dropout": 0.1,
                 "ffn": 2 * d}  # fmt: skip
        plan = {"steps": RELEASED_STEPS, "every": RELEASED_STEPS, "warmup": RELEASED_WARMUP,
                "rate": 1e-3, "decay": 0.05, "coupled": True, "clip": None}  # fmt: skip
    else:
        width = int(chosen.get("width") or (d if recipe == "obstructed" else 4 * d + 2))
        shape = {"width": width, "head": recipe == "fair"}
        # Wider models take smaller steps; 18 = 4 * 4 + 2 is the narrowest fair one here.
        plan = {"rate": 2e-3 * min(1.0, math.sqrt(18 / max(width, 1)))}
        share = max(1, int((training or {}).get("steps", FAIR_STEPS)) // 30)
        plan |= {"warmup": share, "every": min(100, share)}
    return Setting(
        recipe,
        scheme,
        TokenConfig(**{"d": d, "inputs": data.inputs, "outputs": data.outputs, **shape, **chosen}),
        Training(**{**plan, **(training or {})}),
        seed,
    )
