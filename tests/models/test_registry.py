"""Networks by name, and the arguments that are stored with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from exprgan.errors import UsageError
from exprgan.models.registry import BUILDERS, build, full_arguments


@pytest.mark.parametrize("architecture", sorted(BUILDERS))
def test_stored_arguments_build_the_network_that_the_defaults_build(architecture: str) -> None:
    stored = json.loads(json.dumps(full_arguments(architecture)))
    with torch.device("meta"):
        shapes = [
            {name: value.shape for name, value in build(architecture, **given).state_dict().items()}
            for given in (dict[str, Any](), stored)
        ]
    assert shapes[0] == shapes[1]


def test_given_arguments_stay_and_defaults_are_added() -> None:
    assert full_arguments("unet", width=8) == {"num_classes": 19, "width": 8, "patch": 2}
    assert full_arguments("usgan")["attention"] is False


def test_an_unknown_architecture_is_an_error_of_use() -> None:
    for function in (build, full_arguments):
        with pytest.raises(UsageError, match="choose from"):
            function("nose")
