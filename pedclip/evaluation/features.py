"""Frozen features of a set of films: computed once per model, kept on disk, and shared by all probes.

The folder of an entry is named by a hash of everything that the features depend on: weights, configuration,
preprocessing, the films themselves, and whether patch tokens are kept. A changed weight or film is another entry, so
an entry is never stale.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn

from pedclip.artefacts import atomic_folder, write_json
from pedclip.evaluation.embeddings import Evaluable, evaluating
from pedclip.triplets.transforms import Preprocess, to_pixels

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

# What a probe reads.
KINDS: Final = {"both": ("embedding", "pooled"), "embedding": ("embedding",), "pooled": ("pooled",)}
VERSION: Final = 1  # of what is stored: raise it when the same model and films give other features
_DESCRIPTION: Final = "features.json"


class ImageModel(Evaluable, Protocol):
    """A model whose features can be extracted; `pedclip.PedCLIP` is one."""

    @property
    def preprocess(self) -> Preprocess:
        """Preparation of stored films for the image encoder."""

    def encode_image(self, pixels: Tensor) -> Any:
        """(B, 3, H, W) -> `.embedding` (B, D) and `.dense` (B, 1+S, C)."""

    def state_dict(self) -> dict[str, Tensor]:
        """Weights by name, each a tensor of its own shape (…,)."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of N films.

    Attributes:
        embedding: (N, D) float32 of unit length, in the joint space.
        pooled: (N, 2C) float32 mean of the patch tokens, then the image token, before the last block; (N, 0) where
            an architecture shows none.
        tokens: (N, S, C) float16 patch tokens before the last block, memory-mapped where cached; None where not asked
            for. In the published PedCLIP the last block's patches are untrained (methods of PedCLIP, P25).
        key: Hash of model, films and preprocessing.
    """

    embedding: NDArray[np.float32]
    pooled: NDArray[np.float32]
    tokens: NDArray[np.float16] | None
    key: str

    def __len__(self) -> int:
        return len(self.embedding)

    def inputs(self, kind: str) -> NDArray[np.float32]:
        """(N, C) input of a linear probe: "embedding", "pooled", or "both" in one row.

        Raises:
            ValueError: "pooled" of an architecture that shows no such features.
        """
        found = np.hstack([getattr(self, name) for name in KINDS[kind]])
        # With "both" the embedding is left, which a probe can read.
        if found.shape[1] == 0:
            raise ValueError(f"this model shows no {kind} features; expected features='embedding' or 'both'")
        return found


def extract_features(
    model: ImageModel,
    films: NDArray[np.uint8],
    *,
    cache: Path | None = None,
    with_tokens: bool = False,
    batch_size: int = 64,
    device: str = "cpu",
) -> Features:
    """The features of films, from the cache where it has them.

    The model computes in evaluation mode, so that nothing in it moves. A result depends on the batch size and the
    device in the last digits only; the cache does not tell them apart.

    Args:
        model: With its preprocessing.
        films: (N, R, R) uint8, as the cache of decoded images holds them.
        cache: Folder of all cached features; None keeps them in memory only.
        with_tokens: Keep the patch tokens too: 2·S·C bytes per film, 300 kB for ViT-B/16 at 224².
        batch_size: Films at a time, at least 1.
        device: Where to compute.

    Returns:
        The features, in the order of the films.

    Raises:
        ValueError: No film, or a batch size below 1; films of another size as `to_pixels`.
    """
    if len(films) == 0 or batch_size < 1:
        raise ValueError(f"expected at least one film and a batch size of 1 or more, got {len(films)}, {batch_size}")
    # Reading all films once for the hash costs far less than encoding them.
    key = features_key(model, films, with_tokens=with_tokens)
    if cache is None:
        arrays = _compute(model, films, None, with_tokens, batch_size, device)
        return Features(arrays["embedding"], arrays["pooled"], arrays.get("tokens"), key)
    # 128 bits name the folder; the whole key stands inside.
    folder = Path(cache) / key[:32]
    if not (folder / _DESCRIPTION).is_file():
        # A run that is killed leaves no half of an entry behind.
        with atomic_folder(folder, holds=(_DESCRIPTION, "*.npy")) as partial:
            _compute(model, films, partial, with_tokens, batch_size, device)
            write_json(partial / _DESCRIPTION, {"version": VERSION, "key": key, "count": len(films)})
    return open_features(folder)


def open_features(folder: Path) -> Features:
    """Features that `extract_features` has stored; the arrays are mapped, not read.

    Raises:
        FileNotFoundError: The folder holds none.
    """
    if not (folder / _DESCRIPTION).is_file():
        raise FileNotFoundError(f"{folder} holds no features; make them with extract_features")
    key = json.loads((folder / _DESCRIPTION).read_text())["key"]
    # Tokens are dozens of times larger than the rest and often not kept.
    has_tokens = (folder / "tokens.npy").is_file()
    return Features(
        np.load(folder / "embedding.npy", mmap_mode="r"),
        np.load(folder / "pooled.npy", mmap_mode="r"),
        np.load(folder / "tokens.npy", mmap_mode="r") if has_tokens else None,
        key,
    )


def features_key(model: ImageModel, films: NDArray[np.uint8], *, with_tokens: bool) -> str:
    """SHA-256 of all that the features of these films (N, R, R) depend on."""
    digest = hashlib.sha256(f"{VERSION}\0{with_tokens}\0{getattr(model, 'config', '')!r}".encode())
    # Mean, crop and size change the features as much as a weight does.
    digest.update(json.dumps(model.preprocess.to_json(), sort_keys=True).encode())
    add_weights(digest, model.state_dict())
    digest.update(repr(films.shape).encode())
    for film in films:
        digest.update(np.ascontiguousarray(film).data)
    return digest.hexdigest()


def add_weights(digest: "Hash", weights: Mapping[str, Tensor]) -> None:
    """Weights by name, each of its own shape (…,), added to a running hash in the order of the names."""
    for name, weight in sorted(weights.items()):
        # Type and shape too: equal bytes may be other numbers.
        digest.update(f"{name}\0{weight.dtype}\0{tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _compute(
    model: ImageModel, films: NDArray[np.uint8], folder: Path | None, with_tokens: bool, batch_size: int, device: str
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    with evaluating(model, device):
        for start in range(0, len(films), batch_size):
            stored = torch.from_numpy(np.array(films[start : start + batch_size])).to(device)
            batch = _features(model.encode_image(to_pixels(stored, model.preprocess)), with_tokens)
            for name, values in batch.items():
                # Widths are known after the first batch.
                if name not in arrays:
                    arrays[name] = _room(name, (len(films), *values.shape[1:]), values.dtype, folder)
                arrays[name][start : start + len(values)] = values
    for array in arrays.values():
        if isinstance(array, np.memmap):
            array.flush()
    return arrays


def _features(encoded: Any, with_tokens: bool) -> dict[str, NDArray[Any]]:
    dense = encoded.dense.float()
    batch = {
        "embedding": nn.functional.normalize(encoded.embedding.float(), dim=1),
        # (B, 2C): mean of the patches, then the image token.
        "pooled": torch.cat([dense[:, 1:].mean(dim=1), dense[:, 0]], dim=1),
    }
    if with_tokens:
        batch["tokens"] = dense[:, 1:].clamp(-65504, 65504).half()  # the range of float16
    return {name: values.cpu().numpy() for name, values in batch.items()}


def _room(name: str, shape: tuple[int, ...], dtype: Any, folder: Path | None) -> NDArray[Any]:
    if folder is None:
        return np.empty(shape, dtype)
    # Written batch by batch to disk: a data set of tokens exceeds the memory.
    room: NDArray[Any] = open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
    return room
