"""A person names regions and findings of drawn films that carry no label.

    python -m benchmarks.blind_reading draw --seed 21 --output /tmp/sheets     # the pictures, nothing else
    python -m benchmarks.blind_reading score --seed 21 --answers benchmarks/annotations/blind_reading.json

The reader sees the sheets and the two lists of names, and writes a JSON file: ``{"regions": {"1": "wrist", …},
"findings": {"1": "erosion", …}}``. Sheets of regions hold every region at four ages, those of findings every finding
once, each film beside the same with its area marked (none where a finding has no area of its own), in random order.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pedclip.data.phantom.gallery import GalleryFilm, finding_gallery, region_gallery
from pedclip.plots.images import marked

SIZE: Final = 224  # height and width of a film, pixels
TITLE: Final = 14  # pixels of the number above it
PER_PAGE: Final = 23


def shuffled(seed: int) -> dict[str, list[GalleryFilm]]:
    """The films of both kinds in the order of their numbers, which start at 1."""
    kinds = {"regions": region_gallery(seed=seed, size=SIZE), "findings": finding_gallery(seed=seed, size=SIZE)}
    rng = np.random.default_rng(seed)
    return {kind: [films[place] for place in rng.permutation(len(films))] for kind, films in kinds.items()}


def draw(seed: int, output: Path) -> None:
    """Write numbered sheets as PNG."""
    output.mkdir(parents=True, exist_ok=True)
    for kind, films in shuffled(seed).items():
        pictures = [_picture(film, kind) for film in films]
        for start in range(0, len(pictures), PER_PAGE):
            page = _sheet(pictures[start : start + PER_PAGE], start + 1, columns=6 if kind == "regions" else 4)
            page.save(output / f"{kind}{start // PER_PAGE + 1}.png")


def score(seed: int, answers: Path) -> None:
    """Print how many films were named rightly, and what the others were taken for."""
    given = json.loads(answers.read_text(encoding="utf-8"))
    for kind, films in shuffled(seed).items():
        truth = {
            str(number): film.region if kind == "regions" else film.finding for number, film in enumerate(films, 1)
        }
        wrong = [
            f"{truth[one]} for {given[kind].get(one, 'nothing')}" for one in truth if truth[one] != given[kind].get(one)
        ]
        print(
            f"{kind}: {len(truth) - len(wrong)} of {len(truth)} named rightly" + "".join(f"\n  {one}" for one in wrong)
        )


def _picture(film: GalleryFilm, kind: str) -> NDArray[np.uint8]:
    if kind == "regions":
        return np.repeat(film.film[..., None], 3, axis=2)
    nothing = np.zeros_like(film.mask)
    return np.hstack([np.repeat(film.film[..., None], 3, axis=2), marked(film.film, film.mask, nothing, size=SIZE)])


def _sheet(pictures: Sequence[NDArray[np.uint8]], first: int, *, columns: int) -> Image.Image:
    width = pictures[0].shape[1]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (SIZE + TITLE)))
    pen = ImageDraw.Draw(sheet)
    for place, picture in enumerate(pictures):
        left, top = place % columns * width, place // columns * (SIZE + TITLE)
        pen.text((left + 4, top), str(first + place), fill=(255, 255, 255))
        sheet.paste(Image.fromarray(picture), (left, top + TITLE))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("draw", "score"))
    parser.add_argument("--seed", type=int, default=21, help="of people and of the order")
    parser.add_argument("--output", type=Path, default=Path("sheets"), help="folder for the pictures of `draw`")
    parser.add_argument("--answers", type=Path, help="the reader's file, for `score`")
    options = parser.parse_args()
    if options.step == "draw":
        return draw(options.seed, options.output)
    if options.answers is None:
        parser.error("score needs --answers")
    return score(options.seed, options.answers)


if __name__ == "__main__":
    main()
