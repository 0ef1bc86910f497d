"""Settings of the tests of training, and the small world that they share."""

import torch
from training_material import world  # noqa: F401


def pytest_configure(config):
    torch.set_num_threads(1)
