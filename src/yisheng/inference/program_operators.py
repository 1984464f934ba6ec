"""The operators that a saved program may call: a fixed list, so that a file cannot name anything else.

All of them are pure functions of tensors and numbers. None reads or writes files, memory that it does not own, random
generators or its own arguments; operators of torch that do are not in the list, and neither are private ones whose
arguments are not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from yisheng.inference.program_checks import CHECKS
from yisheng.inference.program_sizes import FUNCTION_NAMES, FUNCTIONS

ATEN: Final = frozenset(
    """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr angle asin asinh atan atan2 atanh baddbmm
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm ceil clamp clamp_max
    clamp_min clip conj conj_physical copysign cos cosh deg2rad digamma div divide dot eq erf erfc erfinv exp exp2 expm1
    float_power floor floor_divide fmax fmin fmod frac ge greater greater_equal gt heaviside hypot i0 igamma igammac
    isclose isfinite isinf isnan isneginf isposinf ldexp le lerp less less_equal lgamma log log10 log1p log2 logaddexp
    logaddexp2 logical_and logical_not logical_or logical_xor logit lt maximum minimum mul multiply nan_to_num ne neg
    negative nextafter not_equal polygamma positive pow rad2deg real reciprocal remainder round rsqrt rsub sgn sign
    signbit sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc where xlogy
    special_digamma special_entr special_erf special_erfc special_erfcx special_erfinv special_exp2 special_expit
    special_expm1 special_gammaln special_i0 special_i0e special_i1 special_i1e special_log1p special_log_ndtr
    special_logit special_logsumexp special_ndtr special_ndtri special_polygamma special_round special_sinc
    special_softmax special_log_softmax special_xlog1py special_xlogy special_zeta

    all amax amin aminmax any argmax argmin argsort bincount bucketize count_nonzero cummax cummin cumprod cumsum diff
    equal histc isin kthvalue logcumsumexp logsumexp max mean median min mode msort nanmean nanmedian nanquantile nansum
    norm prod quantile searchsorted sort std std_mean sum topk trace unique_consecutive unique_dim var var_mean _unique2

    adjoint alias as_strided atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors broadcast_to cat chunk clone
    column_stack concat concatenate constant_pad_nd contiguous copy detach diag diag_embed diagflat diagonal
    diagonal_scatter dsplit dstack expand expand_as fill flatten flip fliplr flipud gather hsplit hstack index index_add
    index_copy index_fill index_put index_reduce index_select imag lift_fresh_copy masked_fill masked_scatter
    masked_select mH moveaxis movedim mT narrow nonzero nonzero_numpy numpy_T one_hot pad permute pixel_shuffle
    pixel_unshuffle ravel repeat repeat_interleave reshape resolve_conj resolve_neg roll rot90 row_stack scatter
    scatter_add scatter_reduce select select_scatter slice slice_scatter split split_with_sizes squeeze stack swapaxes
    swapdims t take take_along_dim tensor_split tile transpose tril triu unbind unflatten unfold unsafe_chunk
    unsafe_split unsafe_split_with_sizes unsqueeze view view_as view_as_complex view_as_real view_copy vsplit vstack
    _conj _reshape_alias _to_copy _unsafe_index _unsafe_view channel_shuffle cartesian_prod
    combinations expand_copy permute_copy select_copy slice_copy squeeze_copy transpose_copy unsqueeze_copy

    arange complex eye full full_like linspace logspace meshgrid new_full new_ones new_zeros ones ones_like polar
    scalar_tensor tril_indices triu_indices vander zeros zeros_like bartlett_window blackman_window hamming_window
    hann_window kaiser_window

    celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid log_softmax mish prelu relu relu6
    selu sigmoid silu softmax softplus softshrink threshold _log_softmax _softmax

    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d affine_grid_generator avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear cdist col2im conv1d
    conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity embedding
    embedding_bag embedding_renorm grid_sampler grid_sampler_2d grid_sampler_3d group_norm gru gru_cell im2col
    instance_norm layer_norm linear lstm lstm_cell max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices
    max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d norm_except_dim pairwise_distance pdist
    reflection_pad1d reflection_pad2d reflection_pad3d renorm
    replication_pad1d replication_pad2d replication_pad3d rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
    scaled_dot_product_attention upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
    upsample_nearest2d upsample_nearest3d upsample_trilinear3d _adaptive_avg_pool2d _adaptive_avg_pool3d
    _euclidean_dist _native_batch_norm_legit_no_training _pad_circular _pad_enum _upsample_bicubic2d_aa
    _upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm

    addbmm chain_matmul cholesky cholesky_inverse cholesky_solve corrcoef cov cross det einsum inner inverse kron
    linalg_cholesky linalg_cross linalg_det linalg_diagonal linalg_eigh linalg_eigvalsh linalg_inv linalg_lu_factor
    linalg_lu_solve linalg_matmul linalg_matrix_exp linalg_matrix_norm linalg_matrix_power linalg_multi_dot linalg_norm
    linalg_pinv linalg_qr linalg_slogdet linalg_solve linalg_solve_triangular linalg_svd linalg_svdvals linalg_vecdot
    linalg_vector_norm logdet matmul matrix_exp matrix_power mm mv outer pinverse slogdet tensordot vdot

    fft_fft fft_fft2 fft_fftfreq fft_fftn fft_fftshift fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_ihfft
    fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftfreq fft_rfftn istft stft

    binary_cross_entropy binary_cross_entropy_with_logits cross_entropy_loss huber_loss kl_div l1_loss mse_loss
    nll_loss_nd smooth_l1_loss

    item _local_scalar_dense sym_numel sym_size sym_storage_offset sym_stride
    """.split()
)
"""Names of operators in the namespace ``aten``, torch's own."""

REWRITTEN: Final[Mapping[str, str]] = {"empty": "zeros", "empty_like": "zeros_like", "new_empty": "new_zeros"}
"""Operators that are replaced when a program is written: uninitialized memory must not reach a prediction."""
NUMBER_BINARY: Final = frozenset(
    "add copysign div eq fmod ge gt ldexp le lt mul ne remainder sub".split()  # their default overload takes numbers
)
NUMBER_UNARY: Final = frozenset(
    """
    acos acosh angle asin asinh atan atanh ceil cos cosh erf erfc exp expm1 floor lgamma log log10 log1p neg round sin
    sinh sqrt tan tanh
    """.split()
)
NUMBER_OTHER: Final = frozenset("all any atan2 isfinite isinf isnan polar pow sum".split())
"""Operators that have overloads for numbers alone, which only TorchScript uses; some end the process at a zero."""
NUMBER_WORDS: Final = frozenset({"bool", "complex", "float", "int"})
LIST_WORDS: Final = frozenset({"Dict", "device", "enum", "left", "list", "right", "str", "t"})
"""Words in overloads of lists and texts, which only TorchScript uses."""

EVAL_ARGUMENTS: Final[Mapping[str, tuple[int, str, Any]]] = {
    **dict.fromkeys(("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input"), (6, "train", False)),
    "scaled_dot_product_attention.default": (4, "dropout_p", 0.0),
}
"""Position and name of the argument that makes an operator draw random numbers, and its only allowed value."""
TYPE_ARGUMENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("log_softmax.int", "softmax.int", "special_softmax.default"), 2),
    **dict.fromkeys(("view.dtype", "view_copy.dtype"), 1),
}
"""Position of the argument that is a type: torch would take any integer for one, and may never return."""
TYPE_KEYWORDS: Final = frozenset({"dtype", "layout", "memory_format", "device"})
STATISTICS: Final[Mapping[str, tuple[int, int, int]]] = {
    "batch_norm.default": (3, 4, 5),
    "instance_norm.default": (3, 4, 5),
}
"""Positions of running mean, running variance and of the flag that would change them."""
WRITING: Final = frozenset(
    """
    kthvalue.values linalg_eigh.eigvals linalg_svd.U max.dim_max median.dim_values min.dim_min mode.values
    nanmedian.dim_values sort.Tensor sort.any sort.bool sort.float sort.int sort.str sort.values sort.values_stable
    topk.values gru.data lstm.data rnn_relu.data rnn_tanh.data addmm.dtype
    baddbmm.dtype bmm.dtype embedding_bag.default mm.dtype
    """.split()
)
"""Overloads that write into their arguments without an ``out`` in their name, and others that are not needed."""


class Device:
    """Stands for the device of the network's inputs."""


TYPES: Final = (torch.dtype, torch.layout, torch.memory_format, torch.device, Device)


def find_operator(name: str) -> Callable[..., Any]:
    """Return the function that a program means by a name.

    Args:
        name: ``aten.NAME.OVERLOAD``, or the name of a function on sizes, such as ``operator.mul``.

    Raises:
        ValueError: it is not in the list of allowed operators.

    >>> find_operator("operator.mul")(3, 4)
    12
    >>> find_operator("aten.relu.default")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    operation = _find_aten(name)
    return _check_first(CHECKS[name], operation) if name in CHECKS else operation


def _find_aten(name: str) -> Callable[..., Any]:
    namespace, _, qualified = name.partition(".")
    base, _, overload = qualified.partition(".")
    words = overload.split("_")
    is_of_lists = "ord" not in words and bool(LIST_WORDS & set(words))
    is_writing = qualified in WRITING or any(word.lower().startswith("out") for word in words)
    is_refused = is_of_lists or is_writing or _takes_numbers_only(base, overload)
    if namespace != "aten" or base not in ATEN or is_refused:
        raise ValueError(f"the operator {name[:100]!r} is not allowed in a program")
    packet = getattr(torch.ops.aten, base, None)  # the name is in the list above
    if packet is None or overload not in packet.overloads():
        raise ValueError(f"this version of torch has no operator {name[:100]!r}")
    operation: Callable[..., Any] = getattr(packet, overload)
    return operation


def _takes_numbers_only(base: str, overload: str) -> bool:
    """Return whether no argument of an overload is a tensor, among operators that have such overloads."""
    if base not in NUMBER_BINARY | NUMBER_UNARY | NUMBER_OTHER:
        return False
    is_default = overload == ("default" if base in NUMBER_BINARY else "Scalar")
    is_single = is_default and base not in NUMBER_OTHER
    return is_single or overload == "Scalar_Scalar" or bool(set(overload.split("_")) & NUMBER_WORDS)


def _check_first(check: Callable[..., None], operation: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        check(*arguments)
        return operation(*arguments)

    return call


def name_operator(target: Any) -> str | None:
    """Return the name of a function in a program, or None if it has none.

    >>> import operator
    >>> name_operator(torch.ops.aten.relu.default), name_operator(operator.mul), name_operator(print)
    ('aten.relu.default', 'operator.mul', None)
    """
    try:
        return FUNCTION_NAMES[target]
    except (KeyError, TypeError):
        name = str(target)
        try:
            return name if _find_aten(name) is target else None
        except ValueError:
            return None


def check_call(name: str, arguments: list[Any], keywords: Mapping[str, Any]) -> None:
    """Refuse a call that would draw random numbers, or change the network's own tensors.

    Raises:
        ValueError: it would.
    """
    operation = name.removeprefix("aten.")
    position = TYPE_ARGUMENTS.get(operation, len(arguments))
    types = [*arguments[position : position + 1], *(keywords[key] for key in TYPE_KEYWORDS & set(keywords))]
    if not all(value is None or isinstance(value, TYPES) for value in types):
        raise ValueError(f"{name} needs a type")
    if operation in EVAL_ARGUMENTS:
        position, keyword, allowed = EVAL_ARGUMENTS[operation]
        values = [*arguments[position : position + 1], *([keywords[keyword]] if keyword in keywords else [])]
        if any(type(value) is not type(allowed) or value != allowed for value in values):
            raise ValueError(f"{name} may not draw random numbers in a program")
    if operation in STATISTICS:
        mean, variance, flag = STATISTICS[operation]
        if len(arguments) <= flag or (arguments[flag] is not False and arguments[mean : variance + 1] != [None, None]):
            raise ValueError(f"{name} may not change running statistics in a program")
