"""Random programs in LLVM's IR, an endless corpus that needs no clang.

Each has functions that call those before them, with branches, loops and many values
alive at once, and a `main` that prints a checksum.
"""

from __future__ import annotations

import numpy as np

_OPERATIONS = ("add", "sub", "mul", "xor", "and", "or")


def program(seed: int, *, functions: int = 8, values: int = 12) -> str:
    """A module's text; equal seeds give equal programs.

    Args:
      functions: how many, `main` not counted.
      values: alive at the same time in each, which presses on registers.
    """
    rng = np.random.default_rng(seed)
    parts = [_function(n, values, rng) for n in range(functions)]
    calls = "".join(
        f"  %c{n} = call i32 @f{n}(i32 {n + 3}, i32 %s{n})\n"
        f"  %s{n + 1} = add i32 %s{n}, %c{n}\n"
        for n in range(functions)
    )
    return (
        '@text = private constant [4 x i8] c"%d\\0A\\00"\n'
        "declare i32 @printf(ptr, ...)\n"
        + "\n".join(parts)
        + "\ndefine i32 @main() minsize optsize {\n  %s0 = add i32 1, 0\n"
        + calls
        + f"  call i32 (ptr, ...) @printf(ptr @text, i32 %s{functions})\n"
        "  ret i32 0\n}\n"
    )


def _function(number: int, values: int, rng: np.random.Generator) -> str:
    """A loop over many values, with calls of earlier functions on some turns."""
    linkage = "internal " if rng.random() < 0.7 else ""
    operation = lambda: rng.choice(_OPERATIONS)  # noqa: E731
    first = "".join(
        f"  %a{v} = {operation()} i32 %x, {rng.integers(1, 99)}\n"
        for v in range(values)
    )
    phis = "".join(
        f"  %p{v} = phi i32 [ %a{v}, %entry ], [ %q{v}, %next ]\n"
        for v in range(values)
    )
    turns = "".join(
        f"  %q{v} = {operation()} i32 %p{v}, %p{rng.integers(values)}\n"
        for v in range(values - 1)
    )
    call = "%p0"
    body = ""
    if number:
        callee = rng.integers(number)
        body = f"  %called = call i32 @f{callee}(i32 %p1, i32 {rng.integers(9)})\n"
        call = "%called"
    last, sums = "%q0", ""
    for v in range(1, values):
        sums += f"  %r{v} = add i32 {last}, %q{v}\n"
        last = f"%r{v}"
    return f"""define {linkage}i32 @f{number}(i32 %x, i32 %y) minsize optsize {{
entry:
{first}  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %j, %next ]
{phis}  %odd = and i32 %i, 1
  %is = icmp eq i32 %odd, 0
  br i1 %is, label %calls, label %next
calls:
{body}  %w = add i32 {call}, %y
  br label %next
next:
  %got = phi i32 [ %w, %calls ], [ %p0, %loop ]
{turns}  %q{values - 1} = add i32 %p{values - 1}, %got
  %j = add i32 %i, 1
  %more = icmp slt i32 %j, 3
  br i1 %more, label %loop, label %end
end:
{sums}  ret i32 {last}
}}
"""
