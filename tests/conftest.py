"""Every test starts from the same state: two logical CPUs, seeds, gin, dtype policy.

The CPUs have to be there before TensorFlow starts, so this file is imported first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gin  # noqa: E402
import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from hypothesis import settings  # noqa: E402

from t2t import registry  # noqa: E402

CPU = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [CPU, CPU]
)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell ignores Ctrl-C for what it starts in the background, and children inherit
    # that; those that tests start are to end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Compiling takes longer the first time, and says nothing about the code.
settings.register_profile("t2t", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("t2t")


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    gin.clear_config()
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    """A registry of this test's own, to which it may add plug-ins."""
    fresh = registry.Registry()
    monkeypatch.setattr(registry, "_registry", fresh)
    return fresh
