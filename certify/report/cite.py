"""What a check rests on, as BibTeX: the paper, the theorems' sources, and the software."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

from theory.theorem import Theorem, all_theorems

Fields = Mapping[str, str]

#: Key, what a theorem's source says if it means this, kind of entry, fields.
WORKS: tuple[tuple[str, str, str, Fields], ...] = (
    (
        "nath2024transformers",
        "2402.15478",
        "misc",
        {
            "author": "Nath, Swaroop and Khadilkar, Harshad and Bhattacharyya, Pushpak",
            "title": "Transformers are Expressive, But Are They Expressive Enough for Regression?",
            "year": "2024",
            "eprint": "2402.15478",
            "archiveprefix": "arXiv",
        },
    ),
    (
        "yun2020transformers",
        "1912.10077",
        "inproceedings",
        {
            "author": "Yun, Chulhee and Bhojanapalli, Srinadh and Rawat, Ankit Singh and "
            "Reddi, Sashank J. and Kumar, Sanjiv",
            "title": "Are Transformers universal approximators of sequence-to-sequence functions?",
            "booktitle": "International Conference on Learning Representations",
            "year": "2020",
            "eprint": "1912.10077",
            "archiveprefix": "arXiv",
        },
    ),
    (
        "apostol1974mathematical",
        "Apostol",
        "book",
        {
            "author": "Apostol, Tom M.",
            "title": "Mathematical Analysis",
            "edition": "2",
            "publisher": "Addison-Wesley",
            "year": "1974",
        },
    ),
    (
        "higham2002accuracy",
        "Higham",
        "book",
        {
            "author": "Higham, Nicholas J.",
            "title": "Accuracy and Stability of Numerical Algorithms",
            "edition": "2",
            "publisher": "SIAM",
            "year": "2002",
        },
    ),
    (
        "krantz2002primer",
        "Krantz",
        "book",
        {
            "author": "Krantz, Steven G. and Parks, Harold R.",
            "title": "A Primer of Real Analytic Functions",
            "edition": "2",
            "publisher": 'Birkh{\\"a}user',
            "year": "2002",
        },
    ),
    (
        "mcshane1934extension",
        "McShane",
        "article",
        {
            "author": "McShane, E. J.",
            "title": "Extension of range of functions",
            "journal": "Bulletin of the American Mathematical Society",
            "volume": "40",
            "pages": "837--842",
            "year": "1934",
        },
    ),
    (
        "popoviciu1935equations",
        "Popoviciu",
        "article",
        {
            "author": "Popoviciu, Tiberiu",
            "title": "Sur les {\\'e}quations alg{\\'e}briques ayant toutes leurs racines "
            "r{\\'e}elles",
            "journal": "Mathematica (Cluj)",
            "volume": "9",
            "pages": "129--145",
            "year": "1935",
        },
    ),
    (
        "rudin1976principles",
        "Rudin",
        "book",
        {
            "author": "Rudin, Walter",
            "title": "Principles of Mathematical Analysis",
            "edition": "3",
            "publisher": "McGraw-Hill",
            "year": "1976",
        },
    ),
    (
        "trefethen2013approximation",
        "Trefethen",
        "book",
        {
            "author": "Trefethen, Lloyd N.",
            "title": "Approximation Theory and Approximation Practice",
            "publisher": "SIAM",
            "year": "2013",
        },
    ),
)
TOOLS: tuple[tuple[str, str, Fields], ...] = (
    (
        "johansson2017arb",
        "article",
        {
            "author": "Johansson, Fredrik",
            "title": "{Arb}: efficient arbitrary-precision midpoint-radius interval arithmetic",
            "journal": "IEEE Transactions on Computers",
            "volume": "66",
            "number": "8",
            "pages": "1281--1292",
            "year": "2017",
            "doi": "10.1109/TC.2017.2690633",
        },
    ),
    (
        "demoura2008z3",
        "inproceedings",
        {
            "author": "de Moura, Leonardo and Bj{\\o}rner, Nikolaj",
            "title": "{Z3}: an efficient {SMT} solver",
            "booktitle": "Tools and Algorithms for the Construction and Analysis of Systems",
            "pages": "337--340",
            "publisher": "Springer",
            "year": "2008",
            "doi": "10.1007/978-3-540-78800-3_24",
        },
    ),
)


def bibtex(known: Mapping[str, Theorem] | None = None) -> str:
    """Every entry; `known` are the theorems by label, the registry by default."""
    known = all_theorems() if known is None else known
    labels: dict[str, list[str]] = {}
    for label, theorem in known.items():
        if theorem.source:
            labels.setdefault(theorem.source, []).append(label)
    entries = [_software()]
    for key, mark, kind, fields in WORKS:
        used = [label for source, names in labels.items() if mark in source for label in names]
        if used or mark == "2402.15478":
            note = {"note": f"Statements {', '.join(used)} of Plateau"} if used else {}
            entries.append(_entry(key, kind, {**fields, **note}))
    for source, names in labels.items():
        if not any(mark in source for _, mark, _, _ in WORKS):
            plain = source.replace("{", "(").replace("}", ")")
            fields = {"title": plain, "note": f"Statements {', '.join(names)} of Plateau"}
            entries.append(_entry(f"source:{names[0]}", "misc", fields))
    entries += [_entry(*tool) for tool in TOOLS]
    return "\n".join(entries)


def _software() -> str:
    try:
        version = importlib.metadata.version("plateau")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    title = "Plateau: proved bounds on how well a trained transformer approximates a function"
    return _entry("plateau", "misc", {"title": title, "version": version})


def _entry(key: str, kind: str, fields: Fields) -> str:
    lines = [f"  {name} = {{{text}}}," for name, text in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])
