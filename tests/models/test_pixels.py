"""8-bit pictures as networks take and give them."""

from __future__ import annotations

import numpy as np
import torch

from exprgan.models.pixels import signed, to_tensor, unsigned


def test_all_8_bit_values_come_back() -> None:
    values = torch.arange(256).to(torch.uint8)
    assert float(signed(values)[0]) == -1 and float(signed(values)[255]) == 1
    torch.testing.assert_close(unsigned(signed(values)), values)


def test_to_tensor_takes_read_only_and_flipped_pictures_without_a_warning() -> None:
    picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    picture.flags.writeable = False
    for each in (picture, picture[:, ::-1]):
        tensor = to_tensor(each)
        assert tensor.shape == (1, 3, 4, 5)
        np.testing.assert_array_equal(unsigned(tensor)[0].permute(1, 2, 0).numpy(), each)
