"""What a chunk of logits costs and the gradient of that, together: the logits are the largest thing of a step, so passes over them count.

Plainly this is a softmax, an exponential, a product, a subtraction and a cast, each of which reads and writes all of them in fp32. It is
a module without weights, so that torch.compile takes it beside a network's layers: compiled, the logits are read in the precision that
the product made them in, twice, and the gradient is written in it, once.

R rows (tokens), V vocabulary
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NatsAndGradient(nn.Module):
    """Sums and exponentials are in fp32 at least, whatever the logits are in."""

    def forward(self, logits_RV: Tensor, target_R: Tensor, weight_R: Tensor) -> tuple[Tensor, Tensor]:
        """The negative log-likelihood of each row's target times the row's weight, and the gradient of their sum with respect to the
        logits, in the logits' precision."""
        return (fused if torch.compiler.is_compiling() else by_hand)(logits_RV, target_R, weight_R)

    def of(self, logits_RV: Tensor, target_R: Tensor, weight_R: Tensor) -> tuple[Tensor, Tensor]:
        """The same, as it is fastest: a CPU's time goes into the products, so there compiling would not win its cost back."""
        if logits_RV.device.type == "cpu" or self._compiled_call_impl is None:
            return by_hand(logits_RV, target_R, weight_R)
        return self.for_any_number(logits_RV, target_R, weight_R)

    def for_any_number(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """One compilation for any number of rows, from the first on: were the first number compiled for itself, a resumed training might
        meet other sums than one that went through."""
        for tensor in inputs:
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return self(*inputs)


def by_hand(logits_RV: Tensor, target_R: Tensor, weight_R: Tensor) -> tuple[Tensor, Tensor]:
    """In as little memory as separate calls allow."""
    target_R1, weight_R1 = target_R[:, None], weight_R[:, None]
    log_p_RV = F.log_softmax(logits_RV, dim=-1, dtype=summed_in(logits_RV))
    nats_R = -(log_p_RV.gather(1, target_R1) * weight_R1)[:, 0]
    # d nats / d logits is softmax minus one at the target.
    gradient_RV = log_p_RV.exp_().mul_(weight_R1).scatter_add_(1, target_R1, -weight_R1.to(log_p_RV.dtype))
    return nats_R, gradient_RV.to(logits_RV.dtype)


def fused(logits_RV: Tensor, target_R: Tensor, weight_R: Tensor) -> tuple[Tensor, Tensor]:
    """In as few passes as a compiler can make of it."""
    target_R1, weight_R1 = target_R[:, None], weight_R[:, None]
    x_RV = logits_RV.to(summed_in(logits_RV))
    x_RV = x_RV - x_RV.amax(dim=-1, keepdim=True)  # in this form the compiler finds the highest and the sum in one pass
    log_sum_R1 = x_RV.exp().sum(dim=-1, keepdim=True).log()
    nats_R = ((log_sum_R1 - x_RV.gather(1, target_R1)) * weight_R1)[:, 0]
    hit_RV = torch.arange(x_RV.shape[1], device=x_RV.device) == target_R1
    gradient_RV = ((x_RV - log_sum_R1).exp() - hit_RV.to(x_RV.dtype)) * weight_R1
    return nats_R, gradient_RV.to(logits_RV.dtype)


def summed_in(logits_RV: Tensor) -> torch.dtype:
    return torch.promote_types(logits_RV.dtype, torch.float32)
