"""Operators that ONNX lacks, or that its converter translates less accurately than torch computes them.

Each is composed of ONNX's own operators, computed in double precision and rounded once. The converter calls them with
torch's arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnxscript
import torch
from onnxscript import ir

op: Any = onnxscript.opset20
DOUBLE = ir.DataType.DOUBLE
# Coefficients of the rational approximations in PPND16, for the center of the distribution and its tails.
CENTRAL = (
    (
        *(3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4),
        *(4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    ),
    (
        *(1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3),
        *(2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
    ),
)
NEAR_TAIL = (
    (
        *(1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0),
        *(1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    ),
    (
        *(1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1),
        *(1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
    ),
)
FAR_TAIL = (
    (
        *(6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1),
        *(2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    ),
    (
        *(1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2),
        *(7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
    ),
)


def searchsorted(sorted_sequence: Any, self: Any, **options: Any) -> Any:
    """Count how many of the ascending values ``(D, Q)`` are before each of ``(D, N)``, without a search."""
    rows, values = op.Unsqueeze(sorted_sequence, _ints(1)), op.Unsqueeze(self, _ints(-1))
    includes_equal = options.get("right") or options.get("side") == "right"
    is_before = op.LessOrEqual(rows, values) if includes_equal else op.Less(rows, values)
    return op.ReduceSum(op.Cast(is_before, to=ir.DataType.INT64), _ints(-1), keepdims=0)


def special_ndtri(self: Any) -> Any:
    """Compute the quantile function of the standard normal distribution, with arguments clipped to [1e-12, 1 - 1e-12].

    Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (1988), PPND16.
    """
    p = op.Clip(op.Cast(self, to=DOUBLE), _double(1e-12), _double(1 - 1e-12))
    q = op.Sub(p, _double(0.5))
    central = op.Mul(q, _ratio(op.Sub(_double(0.180625), op.Mul(q, q)), CENTRAL))
    r = op.Sqrt(op.Neg(op.Log(op.Min(p, op.Sub(_double(1.0), p)))))
    near_tail, far_tail = _ratio(op.Sub(r, _double(1.6)), NEAR_TAIL), _ratio(op.Sub(r, _double(5.0)), FAR_TAIL)
    tail = op.Mul(op.Sign(q), op.Where(op.LessOrEqual(r, _double(5.0)), near_tail, far_tail))
    return op.CastLike(op.Where(op.LessOrEqual(op.Abs(q), _double(0.425)), central, tail), self)


def expm1(self: Any) -> Any:
    """Compute exp(x) - 1."""
    return op.CastLike(op.Sub(op.Exp(op.Cast(self, to=DOUBLE)), _double(1.0)), self)


def log1p(self: Any) -> Any:
    """Compute log(1 + x)."""
    return op.CastLike(op.Log(op.Add(op.Cast(self, to=DOUBLE), _double(1.0))), self)


def _ratio(x: Any, coefficients: tuple[Sequence[float], Sequence[float]]) -> Any:
    """Divide one polynomial by another; coefficients begin with the lowest power."""
    numerator, denominator = (_polynomial(x, polynomial) for polynomial in coefficients)
    return op.Div(numerator, denominator)


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    value = _double(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = op.Add(op.Mul(value, x), _double(coefficient))
    return value


def _double(value: float) -> Any:
    return op.Constant(value=ir.tensor(value, dtype=DOUBLE))


def _ints(*values: int) -> Any:
    return op.Constant(value_ints=list(values))


OPERATORS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.searchsorted.Tensor: searchsorted,
    torch.ops.aten.special_ndtri.default: special_ndtri,
    torch.ops.aten.expm1.default: expm1,
    torch.ops.aten.log1p.default: log1p,
}
