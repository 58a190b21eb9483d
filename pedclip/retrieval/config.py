"""Configuration of PECM: a frozen, validated record of every point that its paper leaves open or contradicts itself in.

Where the paper and its purpose disagree, both readings are values of one switch; E numbers name the decisions.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args, get_type_hints

from pedclip.models.config import check_types
from pedclip.retrieval.reranking import Rerank as Rerank

Grid = Literal["ceil5", "floor4", "adaptive5"]
TextPrototypes = Literal["bert", "doc2vec"]
PatchLayer = Literal["dense", "final"]
ShortReports = Literal["mask", "repeat"]
DiversityLoss = Literal["orthogonal", "hinge", "as_printed"]
DiversityReduction = Literal["mean", "sum"]
WeightNorm = Literal["K_softmax", "softmax", "free"]
WeightMode = Literal["static", "per_pair"]
SimilarityLoss = Literal["sym_tau", "as_printed"]
ConfidenceLoss = Literal["as_printed", "contrastive"]
Match = Literal["index", "max", "attention"]
ProjectionInit = Literal["shared", "own"]
EqualTexts = Literal["ignored", "negative"]

LOWEST_TEMPERATURE: Final = 0.01  # as of PedCLIP: below it one pair owns the softmax


@dataclass(frozen=True)
class PECMConfig:
    """Scores and losses of PECM. The defaults are what the paper intends; `as_printed` is what it says.

    Attributes:
        image_width: C of image prototypes before the projection, at least 1.
        text_width: C of report prototypes before the projection, at least 1.
        proj_dim: D of the linear projections; 0 for none, which needs equal widths (E15).
        proj_init: "shared" starts both projections from one matrix where the widths are equal, so that prototypes of
            an aligned dual encoder stay aligned; "own" draws two.
        grid: How patches become regions, see `image_prototypes` (E1).
        text_proto: Report prototypes by the text encoder, or by doc2vec as printed (E11); `text_prototypes` makes them.
        short: Reports of fewer sentences than groups: absent groups are masked, or sentences repeat (E12).
        norm_z: Prototypes have unit length before the weighted sum of Eq. 4 (E14).
        w_norm: w = K·softmax(θ), w = softmax(θ), or w = θ (E5); free weights make no mean of cosines, so that no index
            holds them.
        w_mode: One weight per index, shared by all pairs; or "per_pair", softmax(θ_k + β·s_k) in the confidence, with a
            learned β that starts at 0, and the shared ones in the global embedding (E6). Free weights are no softmax.
        w_entropy: Weight of log K minus the entropy of w in the loss, at least 0: against collapse on one index (E7).
        match: Prototype k meets prototype k, the best of the other side, or a mean of it by attention (E13).
        match_temperature: Divisor of the cosines in that attention, in [0.01, 1]; towards 0 it becomes the best.
        rerank: Final score as ((1+sim)/2)·((1+C)/2), as sim·C (Eq. 7), or as sim+C; see `final_score` (E9).
        top_m: Candidates of the first ranking that are ranked again, at least 1; None for all (E10).
        sim_loss: Both directions with a learned temperature, or image→text without one (Eq. 10, E8).
        temperature: First value of the temperature, in [0.01, 1].
        equal_texts: Pairs whose reports are the same words are no negatives, or are.
        conf_loss: "contrastive", the similarity loss of the confidences, which is ours; or as printed the squared
            distance of the partners' confidence from 1, which has no negatives (Eq. 11, E19).
        div_loss: Squared cosine, squared positive cosine, or (1 − cosine)², which pulls together (Eq. 12, E3).
        div_reduce: Mean over pairs and modalities, or sum (E4).
        sim_weight: Of the similarity loss, at least 0; the printed total has 1.
        conf_weight: λ of Eq. 9, at least 0.
        div_weight: μ of Eq. 9, at least 0.
        per: Prototypes enter the global embedding h; without, h is the global prototype (PER, E18).
        dsce: Weights are learned and the confidence has a loss; without, weights are uniform (DSCE, E18).
        arr: Results are ranked by the final score; without, by the initial one (ARR, E18).

    Source: PECM, sections 2 and 3.4. Differs: whatever the text leaves open is a field.

    Example:
        >>> PECMConfig().rerank, PECMConfig.as_printed().rerank
        ('as_intended', 'as_printed')
    """

    # Prototypes and their projections: what enters, and the one space where it is compared.
    image_width: int = 768
    text_width: int = 768
    proj_dim: int = 512
    proj_init: ProjectionInit = "shared"
    grid: Grid = "ceil5"
    text_proto: TextPrototypes = "bert"
    short: ShortReports = "mask"
    # Scores, Eq. 2 to 8.
    norm_z: bool = True
    w_norm: WeightNorm = "K_softmax"
    w_mode: WeightMode = "static"
    w_entropy: float = 0.0
    match: Match = "index"
    match_temperature: float = 0.1
    rerank: Rerank = "as_intended"
    top_m: int | None = None
    # Losses, Eq. 9 to 12.
    sim_loss: SimilarityLoss = "sym_tau"
    temperature: float = 0.07
    equal_texts: EqualTexts = "ignored"
    conf_loss: ConfidenceLoss = "contrastive"
    div_loss: DiversityLoss = "orthogonal"
    div_reduce: DiversityReduction = "mean"
    sim_weight: float = 1.0
    conf_weight: float = 1.0
    div_weight: float = 1.0
    # Components of Table 4; a loss of Table 5 is left out by a weight of 0.
    per: bool = True
    dsce: bool = True
    arr: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        # Every switch is a Literal, and its annotation is the list of what is allowed.
        for name, kind in get_type_hints(PECMConfig).items():
            options = get_args(kind)
            if options and isinstance(options[0], str):
                _require(getattr(self, name) in options, name, getattr(self, name), f"one of {options}")
        for name in ("image_width", "text_width"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(self.proj_dim >= 0, "proj_dim", self.proj_dim, "at least 0, which is no projection")
        if self.proj_dim == 0 and self.image_width != self.text_width:
            raise ValueError(
                f"proj_dim=0 is not allowed: image_width={self.image_width} and text_width={self.text_width} differ, "
                "and cosines need one width"
            )
        # A negative weight would reward what the loss punishes.
        for name in ("w_entropy", "sim_weight", "conf_weight", "div_weight"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, name, value, "finite and at least 0")
        for name in ("temperature", "match_temperature"):
            value = getattr(self, name)
            _require(LOWEST_TEMPERATURE <= value <= 1, name, value, "in [0.01, 1]")
        if self.w_mode == "per_pair" and self.w_norm == "free":
            raise ValueError("w_mode='per_pair' is not allowed with w_norm='free': weights per pair are a softmax")
        # True is an int to Python, but no number of candidates.
        is_count = self.top_m is None or (type(self.top_m) is int and self.top_m >= 1)
        _require(is_count, "top_m", self.top_m, "None for all candidates, or at least 1")

    @classmethod
    def as_intended(cls) -> "PECMConfig":
        """The defaults: each contradiction resolved in favour of what the text says the formula is for."""
        return cls()

    @classmethod
    def as_printed(cls) -> "PECMConfig":
        """Every formula as it stands: free weights, product of scores, no temperature, summed Eq. 12, doc2vec.

        Eq. 2 and 4 sum over all K prototypes and nothing says that absent ones are left out: short reports repeat.
        """
        # In the order of the fields; what is missing here is printed as it is intended.
        return cls(
            proj_init="own",
            text_proto="doc2vec",
            short="repeat",
            norm_z=False,
            w_norm="free",
            rerank="as_printed",
            sim_loss="as_printed",
            equal_texts="negative",
            conf_loss="as_printed",
            div_loss="as_printed",
            div_reduce="sum",
        )

    @property
    def compares_prototypes(self) -> bool:
        """True where more than the global prototype is used: in h, in the confidence loss or in the final score."""
        return self.per or self.dsce or self.arr


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r} is not allowed: {allowed}")


def check_layer(layer: str) -> None:
    """Refusal of a name that is no layer of patch tokens.

    Raises:
        ValueError: It is none; the message lists them.
    """
    # Everything but "dense" would be taken for "final", and an index would be of a layer that does not exist.
    if layer not in get_args(PatchLayer):
        raise ValueError(f"layer={layer!r} is not allowed: choose from {', '.join(get_args(PatchLayer))}")
