"""Muon: momentum whose every matrix is replaced by the nearest semi-orthogonal one (kellerjordan.github.io/posts/muon).

All matrices of one shape are stacked and orthogonalised in one batched call, tall ones transposed, so that the small side is
the Gram side and a gate and a down projection share a stack. The iteration is Polar Express (arXiv:2505.16932).
"""

# pyright: reportPrivateImportUsage=false
# torch exports its many-tensors-at-once functions under private names only

from __future__ import annotations

import torch
from torch import Tensor, nn

POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
"""Coefficients (a, b, c) of each step's p(x) = ax + bx^3 + cx^5: the paper's list for singular values from 1e-3 up."""

SAFETY = 1.01
"""The paper's guard against rounding: every polynomial but the last is that of x / 1.01."""


def orthogonalise(x_NRC: Tensor, steps: int = len(POLAR_EXPRESS)) -> Tensor:
    """Approximately U V^T of each U S V^T, for N matrices with no more rows than columns.

    Fewer steps leave small singular values small; the coefficients are the best for any number of steps up to theirs.
    fp32 on a CPU, where bf16 without its instructions is some thirty times slower; bf16 on a GPU.
    """
    x_NRC = x_NRC.bfloat16() if x_NRC.is_cuda else x_NRC
    x_NRC = x_NRC / (torch.linalg.matrix_norm(x_NRC, keepdim=True) * SAFETY + 1e-7)
    for index, (a, b, c) in enumerate(POLAR_EXPRESS[:steps]):
        if index < len(POLAR_EXPRESS) - 1:
            a, b, c = a / SAFETY, b / SAFETY**3, c / SAFETY**5
        gram_NRR = x_NRC @ x_NRC.mT
        polynomial_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, polynomial_NRR, x_NRC, beta=a)
    return x_NRC


def as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """Rows by all else, as a view of a dense weight: the axes after the first are taken in the order they lie in memory.

    So channels-last convolutions need no copy; the order of columns means nothing to an orthogonal update. A gradient is
    ordered `like` its parameter.
    """
    model = weight if like is None else like
    axes = sorted(range(1, model.ndim), key=lambda axis: -model.stride(axis))
    return weight.permute(0, *axes).flatten(1)


class _Stack:
    """All matrices of one shape, up to transposition, with their momentum: N,R,C with R no more than C."""

    def __init__(self, matrices: list[Tensor], tall: list[bool]):
        first = matrices[0]
        shape = (len(matrices), min(first.shape), max(first.shape))
        self.matrices = matrices
        self.tall = tall
        self.momentum_NRC = first.new_zeros(shape)
        self.gradient_NRC = first.new_zeros(shape)
        self.gradients = self.oriented(self.gradient_NRC)
        scale = [max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5 for matrix in matrices]
        self.scale_N11 = first.new_tensor(scale)[:, None, None]

    def oriented(self, stack_NRC: Tensor) -> list[Tensor]:
        """Views of a stack, each the way its matrix lies."""
        return [x_RC.mT if tall else x_RC for x_RC, tall in zip(stack_NRC.unbind(), self.tall, strict=True)]

    def step(self, rate: float, weight_decay: float, factor: Tensor, momentum: float, polar_steps: int) -> None:
        gradient_NRC = self.gradient_NRC.mul_(factor)
        self.momentum_NRC.lerp_(gradient_NRC, 1.0 - momentum)
        update_NRC = orthogonalise(gradient_NRC.lerp_(self.momentum_NRC, momentum), polar_steps).to(
            self.momentum_NRC.dtype
        )
        if weight_decay:
            torch._foreach_mul_(self.matrices, 1.0 - rate * weight_decay)
        torch._foreach_add_(self.matrices, self.oriented(update_NRC * self.scale_N11), alpha=-rate)


class Muon:
    """Nesterov momentum, orthogonalised, times sqrt(max(1, rows / columns)).

    That scale is its author's; by arXiv:2310.17813 it lets one learning rate suit all shapes and widths. Takes pairs of a
    weight and the row counts of the matrices it consists of (None: it is one). A convolution's weight is a matrix of output
    channels by all else. A weight that got no gradient counts as one whose gradient is zero.
    """

    def __init__(
        self, parameters: list[tuple[nn.Parameter, tuple[int, ...] | None]], momentum: float, polar_steps: int = 5
    ):
        if not 1 <= polar_steps <= len(POLAR_EXPRESS):
            raise ValueError(f"polar_steps is {polar_steps}; there are coefficients for 1 to {len(POLAR_EXPRESS)}")
        self.momentum, self.polar_steps = momentum, polar_steps
        self._weights = [(parameter, blocks or (parameter.shape[0],)) for parameter, blocks in parameters]
        places: dict[tuple[int, int], list[tuple[Tensor, int, int]]] = {}
        for index, (parameter, blocks) in enumerate(self._weights):
            matrix = as_matrix(parameter.detach())
            if matrix.data_ptr() != parameter.data_ptr():
                raise ValueError(f"a weight of shape {tuple(parameter.shape)} does not lie densely in memory")
            for block, piece in enumerate(matrix.split(blocks)):
                rows, columns = piece.shape
                places.setdefault((min(rows, columns), max(rows, columns)), []).append((piece, index, block))
        self._stacks = {
            f"{rows}x{columns}": _Stack([p for p, _, _ in pieces], [p.shape[0] > p.shape[1] for p, _, _ in pieces])
            for (rows, columns), pieces in places.items()
        }
        slots = {
            (index, block): view
            for stack, pieces in zip(self._stacks.values(), places.values(), strict=True)
            for view, (_, index, block) in zip(stack.gradients, pieces, strict=True)
        }
        self._slots = [[slots[i, block] for block in range(len(blocks))] for i, (_, blocks) in enumerate(self._weights)]

    def gather(self) -> list[Tensor]:
        """Lay the gradients into the stacks; returns the norm of each stack."""
        into: list[Tensor] = []
        gradients: list[Tensor] = []
        for (parameter, blocks), slots in zip(self._weights, self._slots, strict=True):
            if parameter.grad is None:
                torch._foreach_zero_(slots)
                continue
            into += slots
            gradients += as_matrix(parameter.grad, parameter).split(blocks)
        if into:
            torch._foreach_copy_(into, gradients)
        return [torch.linalg.vector_norm(stack.gradient_NRC) for stack in self._stacks.values()]

    def step(self, rate: float, weight_decay: float, factor: Tensor) -> None:
        """Step with what `gather` laid out, times `factor`. Decay is decoupled, as in AdamW."""
        for stack in self._stacks.values():
            stack.step(rate, weight_decay, factor, self.momentum, self.polar_steps)

    def zero_grad(self) -> None:
        for parameter, _ in self._weights:
            parameter.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        return {name: stack.momentum_NRC for name, stack in self._stacks.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError when the state is of other matrices."""
        if {name: value.shape for name, value in state.items()} != {
            name: stack.momentum_NRC.shape for name, stack in self._stacks.items()
        }:
            raise ValueError("Muon's state is of other matrices")
        for name, stack in self._stacks.items():
            stack.momentum_NRC.copy_(state[name])
