"""Over whose pixels a loss is computed: those of one process, or those of all that train together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Sums = dict[str, Tensor]
"""Term -> the sums over pixels that its loss is a function of, any shape."""


class _AllReduce(torch.autograd.Function):
    """The sums of all ``R`` processes, with the gradient that `DistributedDataParallel` turns into the right one.

    With ``S = sum_r s_r`` all processes compute the same loss ``L(S)``, and its gradient to the weights of the network
    is ``L'(S) sum_r ds_r/dw``. After the backward pass the processes take the mean ``1/R sum_r g_r`` of their
    gradients, so each needs ``g_r = R L'(S) ds_r/dw``: this function multiplies by ``R``. ``L'(S)`` is the same
    everywhere, so the backward pass exchanges nothing.
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


def _all_reduce(sums: Sums) -> Sums:
    if not (dist.is_available() and dist.is_initialized()):
        return sums
    # In one exchange: most of its cost is to start it.
    added = _AllReduce.apply(torch.cat([part.flatten() for part in sums.values()]))
    parts = added.split([part.numel() for part in sums.values()])
    return {term: added.view_as(own) for added, (term, own) in zip(parts, sums.items(), strict=True)}


SCOPES: dict[str, Callable[[Sums], Sums]] = {"global": _all_reduce, "batch": lambda sums: sums}
"""Whose pixels are summed -> their sums, of the sums of this process."""
