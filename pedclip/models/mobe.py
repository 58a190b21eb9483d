"""Mixture of Body-part Experts (MoBE): one gate per image, one MLP per body region.

The published mixture is dense: every expert sees every token and the gate weighs the results (PedCLIP, Eq. 1 and 2).
Because the gate belongs to the image and not to the token, a mixture is a list of routes (image, expert, weight), and
that list is short whenever the gate is sharp. Three implementations compute the same values and gradients:

``loop``      Eq. 2 as it is printed, one expert after the other; the reference.
``batched``   all experts in two batched matrix products; the fastest for few tokens per image or a soft gate.
``grouped``   routes sorted by expert and two grouped matrix products; cost grows with the number of routes, so it is
              the one for teacher forcing (one route per image) and for truncated gates (little more than one).
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Implementation = Literal["auto", "loop", "batched", "grouped"]
IMPLEMENTATIONS: Final = get_args(Implementation)


def mobe_reference(tokens: Tensor, gates: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Mixture of Eq. 2, computed literally: the oracle for every faster path.

    Args:
        tokens: (B, 1+S, C) tokens after the second normalization.
        gates: (B, E) mixture weights, one row per image.
        w1: (E, H, C) first layer of each expert, with ``b1`` (E, H).
        b1: (E, H) its bias.
        w2: (E, C, H) second layer, with ``b2`` (E, C).
        b2: (E, C) its bias.

    Returns:
        (B, 1+S, C) sum over experts of gate times expert output.

    Source: PedCLIP, Eq. 2. Differs: nothing.
    """
    # MoBE(y) = Σ_e s_e · (W2_e · GELU(W1_e · y + b1_e) + b2_e): one term of the sum per round.
    mixed = torch.zeros_like(tokens)
    # unbind, not w1[e]: the gradient of an index is a zero-filled copy of all experts.
    for gate, *expert in zip(gates.unbind(1), w1.unbind(), b1.unbind(), w2.unbind(), b2.unbind(), strict=True):
        hidden = F.gelu(F.linear(tokens, expert[0], expert[1]))  # (B, 1+S, H)
        # (B, 1, 1): one weight per image, shared by all of its tokens.
        mixed = mixed + gate[:, None, None] * F.linear(hidden, expert[2], expert[3])
    return mixed


def mobe_batched(tokens: Tensor, gates: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Mixture of Eq. 2 in two batched matrix products over the experts.

    Holds (E, B·(1+S), H) activations: cheap for one token per image, large for all tokens of many images.

    Args:
        tokens: (B, T, C) tokens.
        gates: (B, E) mixture weights.
        w1: (E, H, C) first layers.
        b1: (E, H) their biases.
        w2: (E, C, H) second layers.
        b2: (E, C) their biases.

    Returns:
        (B, T, C) mixture.

    Source: PedCLIP, Eq. 2. Differs: order of summation only.
    """
    batch, length, width = tokens.shape
    # Every expert reads the same rows; expand lends them without a copy.
    shared = tokens.reshape(1, batch * length, width).expand(w1.shape[0], -1, -1)  # (E, B·T, C)
    # baddbmm adds the bias inside the product: no second pass over the largest tensor here.
    hidden = F.gelu(torch.baddbmm(b1[:, None], shared, w1.transpose(1, 2)))  # (E, B·T, H)
    outputs = torch.baddbmm(b2[:, None], hidden, w2.transpose(1, 2))  # (E, B·T, C)
    # (B, E) · (E, B, T, C) → (B, T, C): the sum over experts, again with one weight per image.
    return torch.einsum("be,ebtc->btc", gates.to(outputs.dtype), outputs.view(-1, batch, length, width))


@dataclass(frozen=True)
class Routes:
    """Which expert works on which image, with what weight; sorted by expert.

    Attributes:
        image: (R,) index into the batch.
        expert: (R,) expert index, ascending.
        weight: (R,) mixture weight.
        counts: (E,) routes per expert.
    """

    image: Tensor
    expert: Tensor
    weight: Tensor
    counts: Tensor


def route_labels(assignment: Tensor, num_experts: int, *, dtype: torch.dtype) -> Routes:
    """Routes of teacher forcing: one expert per image, weight 1.

    Args:
        assignment: (B,) expert index of each image.
        num_experts: E.
        dtype: Type of the weights.

    Returns:
        B routes.
    """
    # Sorted labels are the expert of each route, the order that sorts them is its image: both (B,). Stable, so that
    # the order of additions, and with it the last bit of a sum, is the same every time.
    expert, image = torch.sort(assignment, stable=True)
    counts = torch.bincount(assignment, minlength=num_experts)
    return Routes(image, expert, torch.ones_like(expert, dtype=dtype), counts)


def route_gates(gates: Tensor, *, threshold: float) -> Routes:
    """Routes of a soft mixture without the experts whose weight is below ``threshold``.

    The weights are not renormalized. Dropping changes the output of an image by at most its dropped weight times the
    longest expert output: ‖ΔMoBE(y)‖ ≤ Σ_dropped s_e · max_e ‖B_e(y)‖ (triangle inequality on Eq. 2).

    Args:
        gates: (B, E) mixture weights.
        threshold: Weights below it are dropped, in [0, 1/E]; 0 drops nothing.

    Returns:
        Between B and B·E routes.
    """
    # Row-major over (E, B): the routes come out sorted by expert, as grouped products need them. Both (R,).
    expert, image = torch.nonzero((gates >= threshold).t(), as_tuple=True)
    return Routes(image, expert, gates[image, expert], torch.bincount(expert, minlength=gates.shape[1]))


def grouped_linear(rows: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    """Product of consecutive groups of rows, each with its own matrix.

    Args:
        rows: (N, I) rows sorted by group.
        weight: (G, O, I) one matrix per group.
        counts: (G,) rows per group, summing to N; a group may be empty.

    Returns:
        (N, O).
    """
    if torch.is_autocast_enabled(rows.device.type):  # grouped_mm is not on autocast's list
        dtype = torch.get_autocast_dtype(rows.device.type)
        rows, weight = rows.to(dtype), weight.to(dtype)
    # The fused kernel wants rows of whole 16 bytes, and has no double precision.
    aligned = all(length * rows.element_size() % 16 == 0 for length in weight.shape[1:])
    if aligned and rows.dtype != torch.float64 and hasattr(F, "grouped_mm"):
        ends = counts.cumsum(0).to(torch.int32)  # (G,) where each group of rows ends
        return F.grouped_mm(rows, weight.transpose(1, 2), offs=ends)
    # The same, one product per group. tolist() makes a GPU wait, which is why the kernel is preferred.
    groups = zip(torch.split(rows, counts.tolist()), weight, strict=True)
    return torch.cat([group @ matrix.t() for group, matrix in groups])


def mobe_grouped(tokens: Tensor, routes: Routes, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Mixture over a list of routes: gather, two grouped products, weighted sum back per image.

    Args:
        tokens: (B, T, C) tokens.
        routes: R routes; R = B under teacher forcing, B·E for an untruncated soft gate.
        w1: (E, H, C) first layers.
        b1: (E, H) their biases.
        w2: (E, C, H) second layers.
        b2: (E, C) their biases.

    Returns:
        (B, T, C) mixture.

    Source: PedCLIP, Eq. 2, restricted to the given routes.
    """
    length = tokens.shape[1]
    counts = routes.counts * length  # (E,) rows per expert: a route carries all tokens of its image
    gathered = tokens[routes.image].flatten(0, 1)  # (R·T, C)
    hidden = grouped_linear(gathered, w1, counts).view(-1, length, b1.shape[1]) + b1[routes.expert, None]  # (R, T, H)
    outputs = grouped_linear(F.gelu(hidden).flatten(0, 1), w2, counts).view(-1, length, b2.shape[1])
    outputs = outputs + b2[routes.expert, None]  # (R, T, C)
    weighted = outputs * routes.weight[:, None, None].to(outputs.dtype)
    # The outer sum of Eq. 2: the routes of an image are added up in its place.
    return torch.zeros_like(tokens, dtype=weighted.dtype).index_add(0, routes.image, weighted)


class MixtureOfBodyExperts(nn.Module):
    """Gate and experts that replace the MLP of a transformer block.

    Attributes:
        w1: (E, H, C) first layers, ``b1`` (E, H), ``w2`` (E, C, H), ``b2`` (E, C).
        gate: Linear map (E, C) from the image token to expert logits, without bias.
        threshold: In evaluation, experts with a smaller gate weight are skipped; 0 keeps the mixture exact.
        detach_gate: The mixture sends no gradient into the gate (decision P6).

    Source: PedCLIP, Eq. 1 and 2 and Fig. 3.

    Example:
        >>> mobe = MixtureOfBodyExperts(16, 32, 3)
        >>> mixed, gate_logits = mobe(torch.zeros(2, 5, 16))
        >>> mixed.shape, gate_logits.shape
        (torch.Size([2, 5, 16]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        num_experts: int,
        implementation: Implementation = "auto",
        *,
        threshold: float = 0.0,
        detach_gate: bool = False,
    ) -> None:
        super().__init__()
        if min(dim, hidden_dim, num_experts) < 1:
            raise ValueError(f"dim, hidden_dim, num_experts={dim, hidden_dim, num_experts}: each must be at least 1")
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(f"implementation={implementation!r} is not allowed: one of {IMPLEMENTATIONS}")
        if not 0 <= threshold <= 1 / num_experts:
            raise ValueError(f"threshold={threshold} is not allowed: in [0, 1/{num_experts}], so that one expert stays")
        self.implementation: Implementation = implementation
        self.threshold = threshold
        self.detach_gate = detach_gate
        # Stacked, not a list of MLPs: one tensor is what batched and grouped products take.
        self.w1 = nn.Parameter(torch.empty(num_experts, hidden_dim, dim))
        self.b1 = nn.Parameter(torch.zeros(num_experts, hidden_dim))
        self.w2 = nn.Parameter(torch.empty(num_experts, dim, hidden_dim))
        self.b2 = nn.Parameter(torch.zeros(num_experts, dim))
        self.gate = nn.Linear(dim, num_experts, bias=False)
        for weight in (self.w1, self.w2, self.gate.weight):
            nn.init.trunc_normal_(weight, std=0.02)

    def forward(
        self, tokens: Tensor, assignment: Tensor | None = None, *, gate_token: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix the experts.

        Args:
            tokens: (B, 1+S, C) normalized tokens, the image token first; (B, 1, C) for the image token alone.
            assignment: (B,) expert of each image under teacher forcing; None weighs the experts by the gate.
            gate_token: (B, C) what the gate sees; None takes ``tokens[:, 0]``.

        Returns:
            (B, 1+S, C) mixture and (B, E) gate logits, the latter in at least float32.

        Raises:
            ValueError: A label lies outside 0…E-1 (checked on the CPU; a GPU would have to be waited for).
        """
        # (B, E), needed under teacher forcing too: the gate loss trains on them (decision P4).
        gate_logits = self._gate_logits(tokens[:, 0] if gate_token is None else gate_token)
        experts = (self.w1, self.b1, self.w2, self.b2)
        num_experts = self.w1.shape[0]
        if assignment is not None:
            if not tokens.is_cuda and not 0 <= int(assignment.min()) <= int(assignment.max()) < num_experts:
                raise ValueError(f"assignment holds {assignment.tolist()}: labels must be in 0…{num_experts - 1}")
            # One route per image: 1/E of the work of a mixture, and the gradient reaches that expert alone.
            if self.implementation in ("auto", "grouped"):
                routes = route_labels(assignment, num_experts, dtype=gate_logits.dtype)
                return mobe_grouped(tokens, routes, *experts), gate_logits
            gates = F.one_hot(assignment, num_experts).to(gate_logits.dtype)  # (B, E)
        else:
            gates = (gate_logits.detach() if self.detach_gate else gate_logits).softmax(-1)  # (B, E), Eq. 1
        # Never truncated in training: a dropped expert would get no gradient and could not come back.
        threshold = 0.0 if self.training or assignment is not None else self.threshold
        if self.implementation == "grouped" or threshold > 0:
            return mobe_grouped(tokens, route_gates(gates, threshold=threshold), *experts), gate_logits
        mix = mobe_reference if self._prefers_loop(tokens) else mobe_batched
        return mix(tokens, gates, *experts), gate_logits

    def _prefers_loop(self, tokens: Tensor) -> bool:
        # With many tokens each expert is a large product of its own: batching them saves no time and, without
        # gradients, holds E times more at once (benchmarks/mobe_cost.py).
        return self.implementation == "loop" or (self.implementation == "auto" and tokens.shape[1] > 1)

    def _gate_logits(self, token: Tensor) -> Tensor:
        # A softmax over 23 nearly equal bf16 logits loses the ranking, so the gate never runs in half precision.
        wide = torch.promote_types(token.dtype, torch.float32)
        with torch.autocast(token.device.type, enabled=False):
            return F.linear(token.to(wide), self.gate.weight.to(wide))

    def copy_expert(self, fc1: nn.Linear, fc2: nn.Linear, *, noise: float = 0.0) -> None:
        """Start every expert as a copy of one pretrained MLP.

        With equal experts the block computes the pretrained function whatever the gate says (decision P3).

        Args:
            fc1: First layer, (H, C).
            fc2: Second layer, (C, H).
            noise: Standard deviation of Gaussian noise added to the weights, relative to their own, at least 0.
        """
        with torch.no_grad():
            for stacked, source in (
                (self.w1, fc1.weight),
                (self.b1, fc1.bias),
                (self.w2, fc2.weight),
                (self.b2, fc2.bias),
            ):
                stacked.copy_(source.expand_as(stacked))  # (H, C) → (E, H, C), and likewise the others
                # Equal experts stay equal until labels or noise tell them apart. Biases are left alone.
                if noise > 0 and source.dim() > 1:
                    stacked.add_(torch.randn_like(stacked) * (noise * source.std()))
