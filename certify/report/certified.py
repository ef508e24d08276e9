"""What a certificate states, in words: read from the file, no matter who has proved it."""

from __future__ import annotations

import re
import textwrap

from certify.certificate import Bundle, Certificate, Claim
from certify.certificate.words import Result
from certify.report.numbers import interval, on

LONGEST = 200  # letters of a target's expression


def stated(certificate: Certificate | Bundle, result: Result, *, compared: bool) -> str:
    """Model, target, domain, the bracket of the error, and every claim with its verdict.

    Args:
        certificate: as read.
        result: what the checker says of it; where some leaves were not looked at it only states.
        compared: whether a model file was found to be the one that it names.
    """
    parts = certificate.parts if isinstance(certificate, Bundle) else (certificate,)
    norm = f" in the {certificate.norm}-norm" if isinstance(certificate, Bundle) else ""
    says = certificate.header.get("model")
    sha = says.get("sha256") if isinstance(says, dict) else None
    known = isinstance(sha, str) and re.fullmatch("[0-9a-f]{64}", sha)
    model = f"model {sha[:12]}" if known else "a model"
    model += "" if compared else " (--model FILE compares)"
    target = ascii(", ".join(part.target["expression"] for part in parts))[1:-1]
    if len(target) > LONGEST:
        target = f"{target[:LONGEST]}..."
    domain = parts[0].domain
    where = on(*domain[0], len(domain))
    error = f"sup error{norm} in {interval(*certificate.stated.sup_error)}"
    lines = [f"{model} against {target} on {where}: {error}", *map(_claim, certificate.claims)]
    whole = textwrap.TextWrapper(76, break_long_words=False, break_on_hyphens=False)
    first, *rest = whole.wrap("; ".join(lines))
    word = "certifies" if result.checked == result.leaves else "states"
    return "\n".join([f"{word:<12}{first}", *(" " * 12 + line for line in rest)])


def _claim(claim: Claim) -> str:
    numbers = ", ".join(f"{name} {value!r}" for name, value in claim.numbers.items())
    return f"{claim.label}{f' ({numbers})' if numbers else ''} {claim.verdict}"
