"""How the processes of a training part."""

import pytest
import torch

from k2d.distill.rendezvous import parting


@pytest.fixture
def group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_a_process_that_has_ended_leaves_the_group(group):
    with parting():
        pass
    assert not torch.distributed.is_initialized()


def test_a_process_that_was_asked_to_stop_leaves_the_group(group):
    with pytest.raises(SystemExit), parting():
        raise SystemExit(75)
    assert not torch.distributed.is_initialized()


def test_a_process_that_failed_does_not_wait_for_the_others(group):
    with pytest.raises(ValueError), parting():
        raise ValueError
    assert torch.distributed.is_initialized()


def test_without_a_group_there_is_nothing_to_leave():
    with parting():
        pass
