"""The objectives of adversarial and variational training, as functions of what the networks said. Logits are of shape [B]."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.networks.elementwise import autocast_dtype, wide

Logits = Callable[[Tensor], Tensor]
"""data_BX -> logit_B (X: the data's own axes), what is given being held by the caller."""


def classic_discriminator(real_B: Tensor, generated_B: Tensor) -> Tensor:
    """L_D = -E[log D(x)] - E[log(1 - D(G(z)))] with D = sigmoid(logit), arXiv:1406.2661 equation 1.

    -log sigmoid(a) = softplus(-a) and -log(1 - sigmoid(a)) = softplus(a), which never overflow.
    """
    return F.softplus(-real_B).mean() + F.softplus(generated_B).mean()


def classic_generator(generated_B: Tensor) -> Tensor:
    """L_G = -E[log D(G(z))], the non-saturating loss of arXiv:1406.2661, section 3."""
    return F.softplus(-generated_B).mean()


def relativistic_discriminator(real_B: Tensor, generated_B: Tensor) -> Tensor:
    """E[softplus(D(G(z)) - D(x))]: each real row against a generated one (arXiv:1807.00734, as in arXiv:2501.05441 eq. 2)."""
    return F.softplus(generated_B - real_B).mean()


def relativistic_generator(real_B: Tensor, generated_B: Tensor) -> Tensor:
    """E[softplus(D(x) - D(G(z)))]: the same pairs seen from the other side."""
    return F.softplus(real_B - generated_B).mean()


def squared_gradient(logits: Logits, data_BX: Tensor) -> Tensor:
    """|grad_x D(x)|^2 of each row; its mean over real ones is R1, over generated ones R2 (arXiv:1801.04406 eq. 9, 10).

    The weight gamma / 2 is the caller's. The graph is kept, so that the result can be differentiated again.
    """
    x = data_BX.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(logits(x).sum(), x, create_graph=True)
    return gradient.square().sum(dim=tuple(range(1, gradient.ndim)))


def zero_centred(logits: Logits, real_BX: Tensor, generated_BX: Tensor) -> tuple[Tensor, Tensor]:
    """R1 and R2, of some real and some generated rows. A gradient inside an objective has no scaled loss behind it: in fp16 it would be
    lost, so there it is taken in fp32."""
    kind = real_BX.device.type
    in_fp16 = autocast_dtype(real_BX.device) == torch.float16
    with torch.autocast(kind, enabled=False) if in_fp16 else nullcontext():
        r1_B, r2_B = squared_gradient(logits, wide(torch.cat([real_BX, generated_BX]))).chunk(2)
    return r1_B.mean(), r2_B.mean()


def kl_normal(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """KL(N(mean, var) || N(prior_mean, prior_var)) in nats, element by element (arXiv:1312.6114, appendix B)."""
    distance = (mean - prior_mean).square() * torch.exp(-prior_log_variance)
    ratio = log_variance - prior_log_variance
    return 0.5 * (torch.exp(ratio) + distance - 1 - ratio)


def discretised_logistic(data: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """-log P(value) in nats, element by element: a logistic density's mass in the value's bin (arXiv:1701.05517 eq. 2, 3).

    `data` holds bytes as byte / 127.5 - 1, so a bin is 2/255 wide; the first and last one reach to infinity. The masses of
    the 256 values sum to one, which is what makes bits per dimension comparable between models.
    """
    centred = data - mean
    inverse = torch.exp(-log_scale)
    upper, lower = inverse * (centred + 1 / 255), inverse * (centred - 1 / 255)
    mass = torch.sigmoid(upper) - torch.sigmoid(lower)
    middle = inverse * centred
    # Far from the mean the difference of two sigmoids is zero in floating point: there, density times width.
    density = middle - log_scale - 2 * F.softplus(middle) + math.log(2 / 255)
    log_mass = torch.where(mass > 1e-5, torch.log(mass.clamp(min=1e-12)), density)
    log_mass = torch.where(data < -0.999, F.logsigmoid(upper), log_mass)
    log_mass = torch.where(data > 0.999, F.logsigmoid(-lower), log_mass)
    return -log_mass
