"""Headers and questions for the bridge's tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from t2t.bridge.specs import TYPES, Header, TensorSpec

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
specs = st.builds(
    TensorSpec,
    names,
    st.sampled_from(sorted(TYPES)),
    st.lists(st.integers(1, 4), max_size=3).map(tuple),
)
headers = st.builds(
    Header,
    st.lists(specs, min_size=1, max_size=6, unique_by=lambda s: s.name).map(tuple),
    specs,
)


def records(header: Header, count: int, seed: int) -> np.ndarray:
    """Random questions [count]: any finite numbers."""
    rng = np.random.default_rng(seed)
    found = np.zeros(count, header.record)
    for spec in header.features:
        values = rng.integers(-100, 100, (count, *spec.shape))
        found[spec.name] = values if spec.dtype.kind != "u" else np.abs(values)
        if spec.dtype.kind == "f":
            found[spec.name] += rng.random((count, *spec.shape)).astype(spec.dtype)
    return found


def pieces(data: bytes, seed: int) -> list[bytes]:
    """The same bytes, cut anywhere."""
    rng = np.random.default_rng(seed)
    cuts = np.unique(rng.integers(0, len(data) + 1, 8)).tolist()
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


INLINE = Header(
    (
        *(TensorSpec(f"feature_{n}", "int64_t") for n in range(38)),
        TensorSpec("inlining_default", "int64_t"),
    ),
    TensorSpec("inlining_decision", "int64_t"),
)
