"""Shape checking of every model, what property tests may take, and the folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

import albertkit.models.shapes as shapes

from .hub_stub import hub_stub  # noqa: F401  -- a fixture for every folder

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes share the cores

for name in shapes.__all__:
    setattr(shapes, name, getattr(jaxtyping, name))
# Not TensorFlow's: Keras reads the signatures of its layers, which the checks hide, and traces with sizes that are unknown.
CHECKED = [f"albertkit.models.{name}" for name in ("inputs", "lengths", "numpy", "onnx", "torch", "jax")]
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")

SHARED = Path(__file__).parents[2] / "shared" / "data"
REQUIRED = bool(os.environ.get("ALBERTKIT_REQUIRE_DATA"))

# A busy machine is no failure; and CI judges a change by the same examples every time, where each run by hand draws new ones.
settings.register_profile("albertkit", deadline=None, derandomize=REQUIRED, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("albertkit")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; without it a test skips, or fails where CI demands it."""
    if not SHARED.is_dir():
        message = f"needs the real data sets in {SHARED}, which is absent"
        if REQUIRED:
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tiny model, random weights for every head, and its tokenizer."""
    from albertkit.testing import save_tiny_checkpoint

    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
