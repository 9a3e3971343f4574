"""Float32 building blocks of the CPU kernels that LLVM can vectorise: pointers, local arrays, exp, softplus, sigmoid.

The C library's exp is a call a number; the polynomials here are inlined into the loops over channels. Their relative
error is a rounding of float32 (below 2e-7), and they are exact where the argument goes to 0, so that slow decays do
not drift over thousands of positions.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_POINTER = types.CPointer(types.float32)

# 2^r = 1 + r q(r) on [-0.5, 0.5]; 2 atanh(s) / s = 2 + s^2 p(s^2) on [0, 1/3]: minimax fits.
_EXP2 = (
    0.6931472028550831,
    0.2402264791362659,
    0.055503324710997,
    0.009618437357813665,
    0.00133988744224476,
    1.5353361891222e-4,
)
_ATANH = tuple(np.float32(c) for c in (0.6666641628559568, 0.4002152724211195, 0.2800180523175331, 0.2801198699906973))
_LOG2E = np.float32(1.4426950408889634)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


@intrinsic
def floats_at(typing: Any, address: Any) -> Any:
    """Pointer to the float32 numbers at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], _FLOAT.as_pointer())

    return _POINTER(address), generate


@intrinsic(prefer_literal=True)
def local_floats(typing: Any, size: Any) -> Any:
    """Pointer to that many float32 numbers on the stack: LLVM knows that nothing else points there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        with builder.goto_entry_block():
            block = builder.alloca(ir.ArrayType(_FLOAT, size.literal_value))
        block.align = 64
        return builder.bitcast(block, _FLOAT.as_pointer())

    return _POINTER(size), generate


@intrinsic
def add_to_sum(typing: Any, total: Any, term: Any) -> Any:
    """total + term, where the order of the additions of a loop is free."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc", "contract"))

    return types.float32(types.float32, types.float32), generate


@intrinsic
def exp2(typing: Any, x: Any) -> Any:
    """2^x: 0 below -126.5, infinite from 127.5, NaN for NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def constant(value: float) -> Any:
            return ir.Constant(_FLOAT, float(np.float32(value)))

        x = arguments[0]
        x = builder.select(builder.fcmp_ordered("<", x, constant(-127)), constant(-127), x)
        x = builder.select(builder.fcmp_ordered(">", x, constant(128)), constant(128), x)
        rint = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_FLOAT, [_FLOAT]), "llvm.rint.f32")
        whole = builder.call(rint, [x])
        part = builder.fsub(x, whole)
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_FLOAT, [_FLOAT] * 3), "llvm.fma.f32")
        value = constant(_EXP2[-1])
        for coefficient in (*reversed(_EXP2[:-1]), 1.0):
            value = builder.call(fma, [value, part, constant(coefficient)])
        exponent = builder.add(builder.fptosi(whole, _INT), ir.Constant(_INT, 127))
        scale = builder.bitcast(builder.shl(exponent, ir.Constant(_INT, 23)), _FLOAT)
        return builder.fmul(value, scale)

    return types.float32(types.float32), generate


def kernel(function: Any) -> Any:
    """Compiles for float32 loops over channels: fused multiply-add, no Python checks, no GIL."""
    return njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")(function)


@kernel
def sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + exp2(-_LOG2E * x))


@kernel
def softplus(x: Any) -> Any:
    """log(1 + e^x), to float32's relative precision far below zero too."""
    small = exp2(-_LOG2E * abs(x))
    s = small / (_TWO + small)
    q = s * s
    log1p = s * (_TWO + q * (_ATANH[0] + q * (_ATANH[1] + q * (_ATANH[2] + q * _ATANH[3]))))
    return log1p + max(x, _ZERO)
