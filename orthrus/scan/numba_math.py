"""Float32 building blocks of the CPU kernels that LLVM can vectorise: pointers, local arrays, exp, softplus, sigmoid.

The C library's exp is called for each number; the polynomials here are inlined into the loops over channels. Their
relative error is that of float32 rounding (below 2e-7), and they are exact for arguments near 0, so that slow decays do
not drift over thousands of positions.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from orthrus.compiled import compiled

_types: Any = numba.types
_FLOAT, _INT, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_POINTER = _types.CPointer(_types.float32)
_OPTIONS: Any = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}

# 2^r = 1 + r q(r) on [-0.5, 0.5]; 2 atanh(s) / s = 2 + s^2 p(s^2) on [0, 1/3]: minimax fits of relative error.
_EXP2 = (
    0.6931472028550831,
    0.2402264791362659,
    0.055503324710997,
    0.00961843735781366,
    0.00133988744224476,
    0.000153533618912219,
)
_ATANH = tuple(np.float32(c) for c in (0.6666641628559568, 0.4002152724211195, 0.2800180523175331, 0.2801198699906973))
_LOG2E = np.float32(1.4426950408889634)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


def kernel(function: Any) -> Any:
    """Compile for float32 loops over channels: fused multiply-add, no Python checks, no GIL."""
    return compiled(**_OPTIONS)(function)


def part(function: Any) -> Any:
    """A part of a kernel, always inlined, because a call would hide the use of local arrays from LLVM."""
    return compiled(**_OPTIONS, forceinline=True)(function)


def llvm(function: Any) -> Any:
    """A function that kernels call and that writes its own LLVM instructions."""
    decorated: Any = intrinsic(prefer_literal=True)(function)
    return decorated


@llvm
def widest_vectors(typing: Any) -> Any:
    """Use the widest vectors of the processor in the calling kernel; by default LLVM uses half of AVX-512."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # it is not in llvmlite's list
        return context.get_dummy_value()

    return _types.void(), generate


@llvm
def floats_at(typing: Any, address: Any) -> Any:
    """Pointer to the float32 numbers at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], _FLOAT.as_pointer())

    return _POINTER(_types.int64), generate


@llvm
def local_floats(typing: Any, size: Any) -> Any:
    """Pointer to ``size`` zeros on the stack, which LLVM knows to have no other pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = ir.ArrayType(_FLOAT, size.literal_value)
        with builder.goto_entry_block():
            block = builder.alloca(array)
        block.align = 64
        builder.store(ir.Constant(array, None), block)
        return builder.bitcast(block, _FLOAT.as_pointer())

    return _POINTER(size), generate


@llvm
def copy_floats(typing: Any, target: Any, target_offset: Any, source: Any, source_offset: Any, count: Any) -> Any:
    """Copies count float32 numbers; for a constant count it is a few vector moves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, target_offset, source, source_offset, count = arguments
        byte = ir.IntType(8).as_pointer()
        copy = builder.module.declare_intrinsic("llvm.memcpy", [byte, byte, _LONG])
        ends = [
            builder.bitcast(builder.gep(*end), byte) for end in ((target, [target_offset]), (source, [source_offset]))
        ]
        builder.call(copy, [*ends, builder.mul(count, ir.Constant(_LONG, 4)), ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    long = _types.int64
    return _types.void(_POINTER, long, _POINTER, long, long), generate


@llvm
def prefetch(typing: Any, address: Any) -> Any:
    """Prefetch the cache line at an address; any address is allowed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        flags = [ir.Constant(_INT, flag) for flag in (0, 3, 1)]  # to read, into every cache, data
        builder.call(fetch, [builder.inttoptr(arguments[0], byte), *flags])
        return context.get_dummy_value()

    return _types.void(_types.int64), generate


@llvm
def add_to_sum(typing: Any, total: Any, term: Any) -> Any:
    """total + term, with free order of the additions in a loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc", "contract"))

    return _types.float32(_types.float32, _types.float32), generate


@llvm
def exp2(typing: Any, x: Any) -> Any:
    """2^x: 0 below -126.5, infinite from 127.5, NaN for NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def constant(value: float) -> Any:
            return ir.Constant(_FLOAT, float(np.float32(value)))

        x = arguments[0]
        x = builder.select(builder.fcmp_ordered("<", x, constant(-127)), constant(-127), x)
        x = builder.select(builder.fcmp_ordered(">", x, constant(128)), constant(128), x)
        whole = builder.call(builder.module.declare_intrinsic("llvm.rint", [_FLOAT]), [x])
        part = builder.fsub(x, whole)
        multiply_add = builder.module.declare_intrinsic("llvm.fma", [_FLOAT], ir.FunctionType(_FLOAT, [_FLOAT] * 3))
        value = constant(_EXP2[-1])
        for coefficient in (*reversed(_EXP2[:-1]), 1.0):
            value = builder.call(multiply_add, [value, part, constant(coefficient)])
        exponent = builder.add(builder.fptosi(whole, _INT), ir.Constant(_INT, 127))
        scale = builder.bitcast(builder.shl(exponent, ir.Constant(_INT, 23)), _FLOAT)
        return builder.fmul(value, scale)

    return _types.float32(_types.float32), generate


@part
def sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + exp2(-_LOG2E * x))


@part
def softplus(x: Any) -> Any:
    """log(1 + e^x), to the relative precision of float32 also far below zero."""
    small = exp2(-_LOG2E * abs(x))
    s = small / (_TWO + small)
    q = s * s
    log1p = s * (_TWO + q * (_ATANH[0] + q * (_ATANH[1] + q * (_ATANH[2] + q * _ATANH[3]))))
    return log1p + max(x, _ZERO)
