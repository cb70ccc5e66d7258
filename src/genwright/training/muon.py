"""Muon: momentum whose every matrix is replaced by the nearest semi-orthogonal one (kellerjordan.github.io/posts/muon).

All matrices of one shape are stacked and orthogonalised in batched calls. The iteration is Polar Express (arXiv:2505.16932).
Where a stack's matrices are clearly longer than wide it runs on their small square Gram matrices, and touches the matrices
themselves only twice. A matrix may be cut into groups of rows, each orthogonalised by itself, as tensor-parallel trainings do
(arXiv:2510.16981): two groups take a third of the operations.

N matrices, R rows, C columns
"""

# pyright: reportPrivateImportUsage=false
# torch exports its many-tensors-at-once functions under private names only

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwright.hardware.device import has_bf16

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

_ON_GRAM = 1.5
"""How many times longer than wide a matrix must be for the iteration on its Gram matrix to take fewer operations."""
_CHUNK_BYTES = 1 << 21
"""On a CPU a stack is stepped in pieces of this size, which stay in its caches from one pass to the next."""


def orthogonalise(x_NRC: Tensor, steps: int = len(POLAR_EXPRESS), scale: float = 1.0) -> Tensor:
    """Approximately `scale` U V^T of each U S V^T.

    Fewer steps leave small singular values small; the coefficients are the best for any number of steps up to theirs.
    fp32 on a CPU, where bf16 without its instructions is some thirty times slower; bf16 on a GPU that has it, where the Gram matrix
    alone would keep too few digits to iterate on.
    """
    if x_NRC.shape[1] > x_NRC.shape[2]:
        return orthogonalise(x_NRC.mT, steps, scale).mT
    rows, columns = x_NRC.shape[1:]
    in_bf16 = x_NRC.is_cuda and has_bf16(x_NRC.device)
    on_gram = not in_bf16 and columns > _ON_GRAM * rows
    x_NRC = x_NRC.bfloat16() if in_bf16 else x_NRC
    gram_NRR = torch.bmm(x_NRC, x_NRC.mT)
    # Its trace is the square of the Frobenius norm, which is no less than the largest singular value.
    squares_N = gram_NRR.diagonal(dim1=1, dim2=2).sum(-1, dtype=torch.float32)
    inverse_N11 = (1.0 / (squares_N.sqrt() * SAFETY + 1e-7)).to(x_NRC.dtype)[:, None, None]
    gram_NRR.mul_(inverse_N11).mul_(inverse_N11)
    product_NRR: Tensor | None = None
    for index, (a, b, c) in enumerate(_coefficients(steps)):
        last = index == steps - 1
        polynomial_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        if not on_gram:
            polynomial_NRR.diagonal(dim1=1, dim2=2).add_(a)
            if index == 0:
                polynomial_NRR.mul_(inverse_N11)
            x_NRC = torch.bmm(polynomial_NRR.mul_(scale) if last else polynomial_NRR, x_NRC)
            gram_NRR = gram_NRR if last else torch.bmm(x_NRC, x_NRC.mT)
            continue
        if product_NRR is None:
            product_NRR = polynomial_NRR.clone()
            product_NRR.diagonal(dim1=1, dim2=2).add_(a)
        else:
            product_NRR = torch.baddbmm(product_NRR, product_NRR, polynomial_NRR, beta=a)
        if not last:
            half_NRR = torch.baddbmm(gram_NRR, gram_NRR, polynomial_NRR, beta=a)
            gram_NRR = torch.baddbmm(half_NRR, polynomial_NRR, half_NRR, beta=a)
    return x_NRC if product_NRR is None else torch.bmm(product_NRR.mul_(inverse_N11 * scale), x_NRC)


def _coefficients(steps: int) -> list[tuple[float, float, float]]:
    guarded = [(a / SAFETY, b / SAFETY**3, c / SAFETY**5) for a, b, c in POLAR_EXPRESS[:-1]]
    return [*guarded, POLAR_EXPRESS[-1]][:steps]


def as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """Rows by all else, as a view of a dense weight: the axes after the first are taken in the order they lie in memory.

    So channels-last convolutions need no copy; the order of columns means nothing to an orthogonal update. A gradient is
    ordered `like` its parameter.
    """
    model = weight if like is None else like
    axes = sorted(range(1, model.ndim), key=lambda axis: -model.stride(axis))
    return weight.permute(0, *axes).flatten(1)


def group_rows(rows: int, columns: int, groups: int) -> int:
    """How many rows are orthogonalised together: the smaller side over `groups`, or the divisor of `rows` next below (a tenth
    more will do), or next above; all rows where neither is within a factor of two."""
    if groups == 1:
        return rows
    wanted = min(rows, columns) / groups
    sizes = [size for size in range(1, rows + 1) if rows % size == 0 and wanted / 2 <= size <= 2 * wanted]
    below = [size for size in sizes if size <= 1.1 * wanted]
    return below[-1] if below else (sizes or [rows])[0]


class _Stack:
    """All matrices of one shape with their momentum: N,R,C."""

    def __init__(self, matrices: list[Tensor], groups: int):
        self.matrices = matrices
        rows, columns = matrices[0].shape
        self.group = group_rows(rows, columns, groups)
        self.scale = max(1.0, self.group / columns) ** 0.5
        self.momentum_NRC = matrices[0].new_zeros(len(matrices), rows, columns)
        self.chunk = len(matrices)
        if matrices[0].device.type == "cpu":
            self.chunk = max(1, _CHUNK_BYTES // (4 * rows * columns))

    def step(
        self,
        gradients: list[Tensor],
        rate: float,
        weight_decay: float,
        factor: Tensor,
        momentum: float,
        polar_steps: int,
    ) -> None:
        columns = self.momentum_NRC.shape[2]
        for first in range(0, len(self.matrices), self.chunk):
            some = slice(first, first + self.chunk)
            matrices, momentum_NRC = self.matrices[some], self.momentum_NRC[some]
            gradient_NRC = torch.stack(gradients[some]).mul_(factor)
            momentum_NRC.lerp_(gradient_NRC, 1.0 - momentum)
            groups_NRC = gradient_NRC.lerp_(momentum_NRC, momentum).view(-1, self.group, columns)
            update_NRC = orthogonalise(groups_NRC, polar_steps, self.scale).reshape(momentum_NRC.shape)
            if weight_decay:
                torch._foreach_mul_(matrices, 1.0 - rate * weight_decay)
            torch._foreach_add_(matrices, list(update_NRC.to(momentum_NRC.dtype).unbind()), alpha=-rate)


class Muon:
    """Nesterov momentum, orthogonalised, times sqrt(max(1, rows / columns)).

    That scale is its author's; by arXiv:2310.17813 it lets one learning rate suit all shapes and widths. Takes pairs of a
    weight and the row counts of the matrices it consists of (None: it is one). A convolution's weight is a matrix of output
    channels by all else. A weight that got no gradient counts as one whose gradient is zero.

    `groups` cuts a square matrix into so many groups of rows, others into groups of about as many rows as those would have.
    """

    def __init__(
        self,
        parameters: list[tuple[nn.Parameter, tuple[int, ...] | None]],
        momentum: float,
        polar_steps: int = 5,
        groups: int = 1,
    ):
        if not 1 <= polar_steps <= len(POLAR_EXPRESS):
            raise ValueError(f"polar_steps is {polar_steps}; there are coefficients for 1 to {len(POLAR_EXPRESS)}")
        self.momentum, self.polar_steps = momentum, polar_steps
        self._weights = [(parameter, blocks or (parameter.shape[0],)) for parameter, blocks in parameters]
        self._places: dict[tuple[int, int], list[tuple[int, int]]] = {}
        matrices: dict[tuple[int, int], list[Tensor]] = {}
        for index, (parameter, blocks) in enumerate(self._weights):
            matrix = as_matrix(parameter.detach())
            if matrix.data_ptr() != parameter.data_ptr():
                raise ValueError(f"a weight of shape {tuple(parameter.shape)} does not lie densely in memory")
            for block, piece in enumerate(matrix.split(blocks)):
                shape = (piece.shape[0], piece.shape[1])
                self._places.setdefault(shape, []).append((index, block))
                matrices.setdefault(shape, []).append(piece)
        self._stacks = {shape: _Stack(of_shape, groups) for shape, of_shape in matrices.items()}

    def step(self, rate: float, weight_decay: float, factor: Tensor) -> None:
        """Step with the gradients times `factor`. Decay is decoupled, as in AdamW."""
        gradients = [
            as_matrix(torch.zeros_like(p) if p.grad is None else p.grad, p).split(blocks) for p, blocks in self._weights
        ]
        for shape, stack in self._stacks.items():
            of_stack = [gradients[index][block] for index, block in self._places[shape]]
            stack.step(of_stack, rate, weight_decay, factor, self.momentum, self.polar_steps)

    def state_dict(self) -> dict[str, Tensor]:
        return {f"{rows}x{columns}": stack.momentum_NRC for (rows, columns), stack in self._stacks.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError when the state is of other matrices."""
        own = self.state_dict()
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
            raise ValueError("Muon's state is of other matrices")
        for name, value in own.items():
            value.copy_(state[name])
