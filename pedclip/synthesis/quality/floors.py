"""Films that are bad in one known way each: some measure of a report must tell each of them from real films.

None tells all. Beside few films noise may lie within wide balls and have a high precision, but no coverage and no text;
shuffled films are good films, so that only the measures of texts, regions and findings fall.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pedclip.triplets.arrays import TripletArrays

FLOORS: Final = ("noise", "blurred", "collapsed", "shuffled")
_BLUR: Final = 1 / 16  # standard deviation of the blur, of the height


def floor_films(films: TripletArrays, kind: str, *, seed: int = 0) -> TripletArrays:
    """Rows of real films with bad films in their place.

    "noise": the grey levels of each film in random places. "blurred": each film without detail. "collapsed": one film
    per region for all rows of it. "shuffled": good films of other rows, each with the text of this one.

    Args:
        films: N real films, (N, H, W).
        kind: One of `FLOORS`.
        seed: Of what is random in it.

    Returns:
        The same rows with other films.

    Raises:
        ValueError: Another kind.
    """
    if kind not in FLOORS:
        raise ValueError(f"kind must be one of {', '.join(FLOORS)}, got {kind!r}")
    rng = np.random.default_rng(seed)
    images = np.asarray(films.images)
    # Digests are of the films that were there before.
    if kind == "noise":
        return replace(films, images=_noise(images, rng), digests=())
    if kind == "blurred":
        return replace(films, images=_blurred(images), digests=())
    order = _one_per_region(films.regions, rng) if kind == "collapsed" else _moved(len(films), rng)
    return replace(films, images=images[order], digests=())


def _noise(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    # The histogram of each film stays, so that brightness alone gives nothing away.
    return rng.permuted(images.reshape(len(images), -1), axis=1).reshape(images.shape)


def _blurred(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

    width = _BLUR * images.shape[1]
    return np.stack([gaussian_filter(film, width) for film in images])


def _one_per_region(regions: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.intp]:
    """(N,) position of the one film of each row's region."""
    order = np.empty(len(regions), dtype=np.intp)
    for region in np.unique(regions):
        members = np.flatnonzero(regions == region)
        order[members] = rng.choice(members)
    return order


def _moved(number: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(N,) a random cycle through all positions: no film stays where it was, where there are two."""
    cycle = rng.permutation(number)
    order = np.empty(number, dtype=np.intp)
    order[cycle] = np.roll(cycle, 1)
    return order
