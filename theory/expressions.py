"""User expressions in x, or in x1, x2, ..., read by hand: no text is ever evaluated as code.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = ("+" | "-")* power
    power   = atom [("^" | "**") signed]
    atom    = number | name | name "(" sum ["," sum] ")" | "(" sum ")"

SymPy simplifies as it builds (x/x is 1), and the simplified expression is the target.
Lengths, nesting, exponents and constants are bounded, so that no text takes long.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp
from flint import arb, ctx

from theory.errors import BadRequest
from theory.functions import FUNCTIONS, evaluate, inputs, program, x
from theory.intervals import BOUNDS, hull, number
from theory.patience import seconds

MAX_LENGTH = 2000
MAX_DEPTH = 50
#: Nodes of the expression written as a tree, in which gelu(x) has its argument twice.
MAX_SIZE = 3000
#: Largest numerator and denominator of an exponent.
MAX_EXPONENT = 64
#: Literals lie between 10^-300 and 10^300; no constant exceeds 2^1024 or needs more bits.
MAX_DECADE = 300
MAX_BITS = 1024
PATIENCE = 4.0  # seconds for reading one expression

ACCEPTED = (
    ", numbers such as 0.1 or 1e-3, pi, e, + - * / ^, parentheses, and functions such as sin(3*x)"
)


def _of(name: str) -> Callable[[sp.Expr], sp.Expr]:
    return lambda u: FUNCTIONS[name].expression.xreplace({x: u})


def _abs(u: sp.Expr) -> sp.Expr:
    return sp.Abs(u, evaluate=bool(u.is_Rational))


#: Functions of one argument. `Abs` and `Max` stay unevaluated: SymPy decides the signs of their
#: arguments, which takes seconds where they are nested.
UNARY: dict[str, Callable[[sp.Expr], sp.Expr]] = {
    **{name: _of(name) for name in FUNCTIONS},
    "abs": _abs,
    "relu": lambda u: sp.Max(u, 0, evaluate=False),
    "cbrt": lambda u: sp.sign(u) * _abs(u) ** sp.Rational(1, 3),
    "ln": sp.log,
    "sign": sp.sign,
    "tan": lambda u: sp.sin(u) / sp.cos(u),
    "sinh": lambda u: (sp.exp(u) - sp.exp(-u)) / 2,
    "cosh": lambda u: (sp.exp(u) + sp.exp(-u)) / 2,
}
BINARY: dict[str, Callable[[sp.Expr, sp.Expr], sp.Expr]] = {
    "max": lambda u, v: sp.Max(u, v, evaluate=False),
    "min": lambda u, v: -sp.Max(-u, -v, evaluate=False),
}
#: The same functions of x itself, for values.
TEMPLATES = {name: function(x) for name, function in UNARY.items()}
#: Nodes that a function adds, and how often it writes its argument down.
GROWTH = {
    name: (function(x).count(x), len(list(sp.preorder_traversal(function(x)))))
    for name, function in UNARY.items()
}
CONSTANTS = {"pi": sp.pi, "e": sp.E}

TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<sign>\*\*|[-+*/^(),])"
)
#: What follows the name of a library, as in np.exp(x).
ATTRIBUTE = re.compile(r"\.([A-Za-z][A-Za-z_0-9]*)\(")


def parse(text: str, variables: int = 1) -> sp.Expr:
    """Read an expression in `x`, or in several variables.

    Args:
        text: such as "sin(3*x) + x^2/4"; decimals are exact rationals.
        variables: how many there are; x alone, or x1, x2, ...

    Returns:
        A SymPy expression that `theory.functions.evaluate` accepts. Where it is defined is
        not looked at, see `theory.definedness`.

    Raises:
        BadRequest: the text is no such expression; the message says where and what is accepted.
    """
    if len(text) > MAX_LENGTH:
        raise BadRequest(
            f"the target expression has {len(text)} characters; at most {MAX_LENGTH} are read."
        )
    try:
        with seconds(PATIENCE):
            return _Reader(text, variables).read()
    except BadRequest:
        raise
    except RecursionError:
        raise BadRequest("the target expression is nested too deeply; simplify it.") from None
    except Exception as problem:  # SymPy meets infinities and zero divisors in its own ways
        why = "it takes too long" if isinstance(problem, TimeoutError) else repr(problem)[:200]
        raise BadRequest(
            f"the target expression cannot be simplified ({why}); write it in another way."
        ) from None


def meaning(function: str) -> sp.Expr:
    """What the name of a registered function, or an expression in `x`, stands for.

    Raises:
        BadRequest: it is neither.
    """
    return FUNCTIONS[function].expression if function in FUNCTIONS else parse(function)


@dataclass(frozen=True)
class Token:
    """kind is "number", "name", "sign" or "end"; `start` counts characters from 0."""

    kind: str
    text: str
    start: int


@dataclass(frozen=True)
class Value:
    """A sub-expression, whether it was written without the variable, and a bound on its nodes."""

    expression: sp.Expr
    constant: bool
    size: int = 1


class _Reader:
    """Recursive descent over the tokens of one text; the only state is the position."""

    def __init__(self, text: str, variables: int = 1):
        self.text, self.count = text, variables
        self.variables = {str(symbol): symbol for symbol in inputs(variables)}
        self.tokens = self.tokenize()
        self.index = 0

    def read(self) -> sp.Expr:
        if self.token.kind == "end":
            raise self.problem(self.token, "it is empty")
        result = self.sum(0).expression
        if self.token.kind != "end":
            raise self.problem(self.token, self.unexpected())
        self.check_whole(result)
        return result

    @property
    def has(self) -> str:
        """The variables in words."""
        return "one variable, x" if self.count == 1 else f"the variables x1 ... x{self.count}"

    def tokenize(self) -> list[Token]:
        tokens, position = [], 0
        while position < len(self.text):
            if self.text[position].isspace():
                position += 1
                continue
            match = TOKEN.match(self.text, position)
            module = tokens[-1] if tokens and tokens[-1].kind == "name" else None
            if match is None and module and (of := ATTRIBUTE.match(self.text, position)):
                raise self.problem(module, f'write {of[1]}(x), without "{module.text}."')
            if match is None:
                bad = Token("sign", self.text[position], position)
                raise self.problem(bad, f"unexpected character {ascii(bad.text)}")
            tokens.append(Token(match.lastgroup, match.group(), position))
            position = match.end()
        return [*tokens, Token("end", "", len(self.text))]

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def accept(self, *texts: str) -> Token | None:
        """The next token if it is one of these signs."""
        token = self.token
        if token.kind != "sign" or token.text not in texts:
            return None
        self.index += 1
        return token

    def expect(self, text: str, opened: Token) -> None:
        if self.accept(text) is None:
            if self.token.kind == "end":
                raise self.problem(opened, 'this "(" is never closed')
            raise self.problem(self.token, self.unexpected())

    def sum(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise self.problem(self.token, f"nested more than {MAX_DEPTH} levels deep")
        left = self.product(depth)
        while sign := self.accept("+", "-"):
            right = self.product(depth)
            factor = 1 if sign.text == "+" else -1
            left = self.combine(sign, lambda a, b, f=factor: a + f * b, left, right)
        return left

    def product(self, depth: int) -> Value:
        left = self.signed(depth)
        while sign := self.accept("*", "/"):
            right = self.signed(depth)
            power = 1 if sign.text == "*" else -1
            left = self.combine(sign, lambda a, b, p=power: a * b**p, left, right)
        return left

    def signed(self, depth: int) -> Value:
        negative = False
        while sign := self.accept("+", "-"):
            negative ^= sign.text == "-"
        value = self.power(depth)
        return Value(-value.expression, value.constant, value.size + 2) if negative else value

    def power(self, depth: int) -> Value:
        base = self.atom(depth)
        sign = self.accept("^", "**")
        if sign is None:
            return base
        if depth > MAX_DEPTH:
            raise self.problem(sign, f"nested more than {MAX_DEPTH} levels deep")
        start = self.token
        exponent = self.signed(depth + 1)
        rational = exponent.expression.is_Rational
        if rational and max(abs(exponent.expression.p), exponent.expression.q) <= MAX_EXPONENT:
            return self.combine(sign, lambda a, b: a**b, base, exponent)
        if rational:
            raise self.problem(
                start,
                f"the exponent is out of range: at most {MAX_EXPONENT}, as is its denominator",
            )
        if base.constant and number(base.expression) > 0:
            return self.combine(sign, lambda a, b: sp.exp(b * sp.log(a)), base, exponent)
        raise self.problem(
            start, "the exponent must be a rational number (or the base a positive one)"
        )

    def atom(self, depth: int) -> Value:
        token = self.token
        if opened := self.accept("("):
            value = self.sum(depth + 1)
            self.expect(")", opened)
            return value
        if token.kind == "number":
            self.index += 1
            return Value(self.literal(token), True)
        if token.kind == "name":
            self.index += 1
            return self.named(token, depth)
        raise self.problem(token, self.unexpected())

    def named(self, token: Token, depth: int) -> Value:
        name, opened = token.text, self.accept("(")
        if opened and (name in UNARY or name in BINARY):
            arguments = [self.sum(depth + 1)]
            while self.accept(","):
                arguments.append(self.sum(depth + 1))
            self.expect(")", opened)
            wanted = 1 if name in UNARY else 2
            if len(arguments) != wanted:
                raise self.problem(token, f"{name} takes {wanted}, not {len(arguments)}, arguments")
            return self.combine(token, UNARY.get(name) or BINARY.get(name), *arguments)
        if opened and (name in self.variables or name in CONSTANTS):
            raise self.problem(opened, f'write * between "{name}" and "("')
        if name in UNARY or name in BINARY:
            raise self.problem(token, f'"{name}" is a function: write {name}(x)')
        if name in self.variables:
            return Value(self.variables[name], False)
        if name in CONSTANTS:
            return Value(CONSTANTS[name], True)
        raise self.problem(token, self.unknown(name, called=opened is not None))

    def literal(self, token: Token) -> sp.Rational:
        mantissa, _, decade = token.text.lower().partition("e")
        whole, _, fraction = mantissa.partition(".")
        if max(len(whole), len(fraction)) > MAX_DECADE or abs(int(decade or 0)) > MAX_DECADE:
            raise self.problem(
                token, f"numbers must lie between 1e-{MAX_DECADE} and 1e{MAX_DECADE}"
            )
        return sp.Integer(whole + fraction) * sp.Integer(10) ** (int(decade or 0) - len(fraction))

    def combine(self, token: Token, function: Callable[..., sp.Expr], *parts: Value) -> Value:
        """Apply `function`; a constant result must be a real number of moderate size."""
        constant = all(part.constant for part in parts)
        copies, more = GROWTH.get(token.text, (1, 6))
        size = copies * sum(part.size for part in parts) + more
        if size > MAX_SIZE:
            raise self.problem(
                token, "the expression is too long once its functions are written out"
            )
        value = None
        if token.text in UNARY and not parts[0].expression.free_symbols:
            value = self.check_value(token, parts[0].expression)
        result = function(*(part.expression for part in parts))
        if value is not None and not self.equal(value, result):
            raise self.problem(token, "SymPy takes the value here for another one")
        if constant or result.is_Atom:
            self.check_constant(token, result)
        return Value(result, constant, size)

    def check_value(self, token: Token, argument: sp.Expr) -> arb:
        """The value of a function at a constant, before SymPy sees it: it may be too large for
        SymPy, or so small that SymPy takes it for 0."""
        with ctx.workprec(2 * MAX_BITS):
            ball = number(argument)
            value = hull(*evaluate(TEMPLATES[token.text], BOUNDS, (ball.lower(), ball.upper())))
        if not value.is_finite():
            raise self.problem(token, "the result here is not a real number")
        if not abs(value) < arb(2) ** MAX_BITS:
            raise self.problem(token, "the result here exceeds 10^308")
        return value

    @staticmethod
    def equal(value: arb, constant: sp.Expr) -> bool:
        """Whether a constant of SymPy's may be the value, to 2048 bits."""
        with ctx.workprec(2 * MAX_BITS):
            return not constant.free_symbols and value.overlaps(number(constant))

    def check_constant(self, token: Token, constant: sp.Expr) -> None:
        if constant.free_symbols:
            return
        if constant.is_Rational and max(constant.p.bit_length(), constant.q.bit_length()) > 4096:
            raise self.problem(token, "the result here is too long a number")
        with ctx.workprec(2 * MAX_BITS):
            ball = number(constant)
        if not ball.is_finite():
            raise self.problem(token, "the result here is not a real number")
        if not abs(ball) < arb(2) ** MAX_BITS:
            raise self.problem(token, "the result here exceeds 10^308")

    def check_whole(self, expression: sp.Expr) -> None:
        """What no single operation shows: exponents and complex numbers that SymPy merged."""
        if expression.has(sp.I, sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise self.problem(None, "its values are not real numbers")
        for power in expression.atoms(sp.Pow):
            exponent = power.exp
            if exponent.is_Rational and max(abs(exponent.p), exponent.q) > MAX_EXPONENT:
                raise self.problem(None, f"together its powers make {power}, beyond {MAX_EXPONENT}")
        try:
            program(expression, self.count)
        except TypeError as error:
            raise self.problem(None, str(error)) from None

    def unexpected(self) -> str:
        token = self.token
        if token.kind == "end":
            return "it ends too early"
        before = self.tokens[self.index - 1] if self.index else None
        if before and (token.kind != "sign" or token.text == "("):
            after_value = before.kind in ("number", "name") or before.text == ")"
            if after_value:
                return f'write an operator such as * between "{before.text}" and "{token.text}"'
        return f'unexpected "{token.text}"'

    def unknown(self, name: str, called: bool) -> str:
        if not called and re.fullmatch(r"x_?[0-9]+|[a-zA-Z]", name):
            few = ", ".join(self.variables) if self.count <= 4 else f"x1 ... x{self.count}"
            one = "one input; call it x"
            has = one if self.count == 1 else f"{self.count} inputs: {few}"
            return f'"{name}" is not known: the model has {has}'
        near = difflib.get_close_matches(name.lower(), [*UNARY, *BINARY, *CONSTANTS], n=3)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        every = f"; functions are {', '.join([*UNARY, *BINARY])}" if called and not near else ""
        return f'"{name}" is not known{meant}{every}'

    def problem(self, token: Token | None, says: str) -> BadRequest:
        """The error that points at `token`, or at nothing in particular."""
        shown = "".join(c if c.isprintable() else " " for c in self.text)
        lines = [f"cannot read the target expression: {says}."]
        if token is None:
            lines.append(f"  {shown if len(shown) <= 60 else shown[:57] + '...'}")
        else:
            first = max(0, token.start - 50)
            lines.append(f"  {shown[first : token.start + 20]}")
            lines.append("  " + " " * (token.start - first) + f"^ position {token.start + 1}")
        return BadRequest("\n".join([*lines, f"accepted: {self.has}{ACCEPTED}."]))
