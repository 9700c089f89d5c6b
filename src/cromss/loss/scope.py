"""Whose pixels a loss is the loss of: those of one process, or those of all that train together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Sums = dict[str, Tensor]
"""Term -> the sums over pixels that its loss is a function of, any shape."""


class _AddedUp(torch.autograd.Function):
    """The sums of all ``R`` processes, with the gradient that `DistributedDataParallel` turns into the right one.

    With ``S = sum_r s_r`` all processes compute the same loss ``L(S)``, and its gradient to the weights of the network
    is ``L'(S) sum_r ds_r/dw``. After the backward pass the processes take the mean ``1/R sum_r g_r`` of what each has
    found, so that each has to find ``g_r = R L'(S) ds_r/dw``: this step multiplies by ``R``. ``L'(S)`` is the same
    everywhere, so nothing has to be exchanged on the way back.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        ctx.processes = dist.get_world_size()
        added = sums.clone()
        dist.all_reduce(added)
        return added

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.processes


def _of_all(sums: Sums) -> Sums:
    if not (dist.is_available() and dist.is_initialized()):
        return sums
    # In one piece: what an exchange costs is its start.
    added = _AddedUp.apply(torch.cat([part.flatten() for part in sums.values()]))
    parts = added.split([part.numel() for part in sums.values()])
    return {term: added.view_as(own) for added, (term, own) in zip(parts, sums.items(), strict=True)}


def _own(sums: Sums) -> Sums:
    return sums


SCOPES: dict[str, Callable[[Sums], Sums]] = {"global": _of_all, "batch": _own}
"""Name -> which processes' pixels are summed, of the sums of this one."""
