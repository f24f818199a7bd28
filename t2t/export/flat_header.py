"""Flat weights as a C header: a policy that is compiled into its compiler.

    #include "policy.h"
    float inputs[POLICY_INPUTS] = …;          /* in the order of policy_features */
    size_t place = policy_choose(inputs);     /* or policy_values(inputs, outputs) */

C99 and C++11, no dependency, nothing to load. It computes in the order in which
t2t_bridge.h does with the same weights in a file, so both give the same bits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t.bridge.flat import (
    Bucketise,
    Dense,
    FlatPolicy,
    Relu,
    Squares,
    Standardise,
)

_A_LINE = 8  # numbers


def write_header(policy: FlatPolicy, path: Path, *, name: str = "policy") -> Path:
    """Writes the header, to a temporary name first.

    Args:
      name: what its functions begin with.

    Raises:
      ValueError: when that is no name in C.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name in C: expected such as 'my_policy'")
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("\n".join(_lines(policy, name)) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def _lines(policy: FlatPolicy, name: str) -> Iterator[str]:
    widths = _widths(policy)
    upper = name.upper()
    yield f"/* {name}: {policy.advice} from {len(policy.features)} features, written by"
    yield "t2t-exporter. What its functions do is said in t2t/export/flat_header.py."
    yield f"mask: {policy.mask} */" if policy.mask else "*/"
    yield f"#ifndef {upper}_H\n#define {upper}_H\n"
    yield "#include <stddef.h>\n#include <string.h>\n"
    yield f"enum {{ {upper}_INPUTS = {widths[0]}, {upper}_OUTPUTS = {widths[-1]} }};\n"
    yield "static const struct {\n  const char *name, *type;\n  size_t elements;"
    yield f"}} {name}_features[] = {{"
    for spec in policy.features:
        yield f'    {{"{_escaped(spec.name)}", "{spec.type}", {spec.size}}},'
    yield "};\n"
    yield f"static inline void {name}_values(const float *inputs, float *outputs) {{"
    yield f"  float x[{max(widths)}], y[{max(widths)}];"
    yield "  size_t i, j;\n  (void)i;\n  (void)j;"
    yield f"  memcpy(x, inputs, {widths[0]} * sizeof *x);"
    for layer, width in zip(policy.layers, widths[:-1], strict=True):
        yield from _layer(layer, width)
    yield f"  memcpy(outputs, x, {widths[-1]} * sizeof *x);\n}}\n"
    if policy.chooses:
        yield from _choose(name, widths[-1], bool(policy.mask))
    yield "#endif"


def _widths(policy: FlatPolicy) -> list[int]:
    widths = [policy.width]
    for layer in policy.layers:
        widths.append(layer.sizes(widths[-1])[0])
    return widths


def _escaped(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text).replace(
        "\\", "\\\\"
    ).replace('"', '\\"')  # fmt: skip


def _layer(layer: object, width: int) -> Iterator[str]:
    each = f"    for (i = 0; i < {width}; i++)"
    yield "  {"
    if isinstance(layer, Standardise):
        yield from _array("mean", layer.mean)
        yield from _array("scale", layer.scale)
        yield f"{each} y[i] = (x[i] - mean[i]) * scale[i];"
    elif isinstance(layer, Bucketise):
        yield from _bucketise(layer, each)
    elif isinstance(layer, Squares):
        yield f"{each} {{"
        yield f"      y[i] = x[i];\n      y[{width} + i] = x[i] * x[i];\n    }}"
        width *= 2
    elif isinstance(layer, Relu):
        yield f"{each} y[i] = x[i] > 0 ? x[i] : 0;"
    elif isinstance(layer, Dense):
        out = len(layer.bias)
        yield from _array("kernel", layer.kernel)
        yield from _array("bias", layer.bias)
        yield f"    memcpy(y, bias, {out} * sizeof *y);"
        yield each
        yield f"      for (j = 0; j < {out}; j++) y[j] += x[i] * kernel[{out} * i + j];"
        width = out
    yield f"    memcpy(x, y, {width} * sizeof *x);\n  }}"


def _bucketise(layer: Bucketise, each: str) -> Iterator[str]:
    counts = [len(edges) for edges in layer.edges]
    starts = np.cumsum([0, *counts])
    yield from _array("edges", np.concatenate([*layer.edges, [0]]))
    yield f"    static const size_t start[] = {{{', '.join(map(str, starts))}}};"
    yield f"{each} {{"
    yield "      size_t low = start[i], high = start[i + 1];"
    yield "      while (low < high) {"
    yield "        size_t middle = (low + high) / 2;"
    yield "        if (edges[middle] <= x[i])\n          low = middle + 1;"
    yield "        else\n          high = middle;\n      }"
    yield "      high = start[i + 1] - start[i];"
    yield "      y[i] = high ? (float)(low - start[i]) / (float)high : 0;\n    }"


def _array(name: str, values: np.ndarray) -> Iterator[str]:
    # Nine digits give the same float32 again.
    numbers = [_number(x) for x in np.asarray(values, np.float32).ravel().tolist()]
    yield f"    static const float {name}[] = {{"
    for at in range(0, len(numbers), _A_LINE):
        yield "        " + ", ".join(numbers[at : at + _A_LINE]) + ","
    yield "    };"


def _number(value: float) -> str:
    text = f"{value:.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def _choose(name: str, width: int, masked: bool) -> Iterator[str]:
    """The place of the largest value; as many as there are where none is allowed."""
    more, allowed = (", const float *mask", "mask[i] != 0 && ") if masked else ("", "")
    yield f"static inline size_t {name}_choose(const float *inputs{more}) {{"
    yield f"  float values[{width}];\n  size_t i, best = {width};"
    yield f"  {name}_values(inputs, values);"
    yield f"  for (i = 0; i < {width}; i++)"
    yield f"    if ({allowed}(best == {width} || values[i] > values[best])) best = i;"
    yield "  return best;\n}\n"
