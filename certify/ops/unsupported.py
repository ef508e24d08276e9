"""Operators that exporters emit and that have no lowering, each with the reason.

Exporters lower to torch's core operators at the latest; what of those is neither in the table
nor decomposed by `certify.export` stands here, and a test compares the two.
"""

from __future__ import annotations

_JUMPS = "it has jumps where its input varies"
_FUNCTION = "no enclosure of this function yet"
_RANDOM = "a random result is no function of the input"
_SHAPE = "the shape of its result depends on values"
_MEMORY = "about memory, not about numbers"
_BACKWARD = "a backward pass"
_POOL = "pooling and resampling of images are not lowered yet"

_REASONS: dict[str, str] = {
    _JUMPS: "argmax argmin fmod.Scalar fmod.Tensor "
    "remainder.Scalar remainder.Tensor sort topk hardshrink heaviside threshold",
    _FUNCTION: "acos acosh asin asinh atan atan2 atan2.out atanh erfinv lgamma",
    _RANDOM: "rand randn randperm native_dropout bernoulli multinomial",
    _SHAPE: "nonzero masked_scatter masked_select _local_scalar_dense sym_numel "
    "sym_storage_offset unique_dim",
    _MEMORY: "as_strided empty.memory_format empty_strided",
    _BACKWARD: "_adaptive_avg_pool2d_backward avg_pool2d_backward convolution_backward "
    "max_pool2d_with_indices_backward",
    _POOL: "_adaptive_avg_pool2d _adaptive_avg_pool3d avg_pool2d avg_pool3d grid_sampler_2d "
    "max_pool2d_with_indices max_pool3d_with_indices upsample_bilinear2d.vec "
    "upsample_nearest2d.vec",
    "complex numbers are not lowered": "_fft_c2r _fft_r2c view_as_complex view_as_real polar",
    "entries are added up at positions that may coincide": "scatter_add scatter_reduce.two "
    "index_add _embedding_bag",
    "distances are not lowered; write them with sub, square and sum": "_cdist_forward "
    "_pdist_forward",
    "batch norm in train mode; call model.eval()": "_native_batch_norm_legit "
    "_native_batch_norm_legit.no_stats",
    "a recurrence as one operator is not lowered; write its steps out": "lstm.input gru.input "
    "rnn_tanh.input rnn_relu.input",
}

UNSUPPORTED: dict[str, str] = {
    f"aten.{name if '.' in name else name + '.default'}": reason
    for reason, names in _REASONS.items()
    for name in names.split()
}


def unsupported_ops() -> list[tuple[str, str]]:
    """Operators without a lowering that exporters emit, with the reason, in order."""
    return sorted(UNSUPPORTED.items())
