"""What the deployed program computes: float32 rounding, attached to the operators of the source.

`model.py` states the machine; `arithmetic.py`, `products.py`, `pointwise.py`, `normalization.py`
and `attention.py` bound the error of one operator in it; `rules.py` says which operator has which
bound; `lowering.py` puts the bounds into the graph; `deviation.py` carries them to the output.
See docs/float32.md.
"""
