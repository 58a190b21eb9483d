"""What drawn films are worth, and whether they are copies: those of ``benchmarks.synthetic_vlp``, and a flow's own.

    python -m benchmarks.synthetic_quality --films runs/synthetic/phantom/films \
        --json benchmarks/results/synthetic_quality.json --sheet runs/sheet

Four parts. *Quality*: films that each generator draws for the reports of the test patients against the real training
films, between the real films of these reports above and noise, blurred, collapsed and shuffled ones below, in the eyes
of PedCLIP and of an ImageNet encoder; with region and findings as classifiers of real films tell them. *Memorisation*:
films of --flow from captions it was trained with, several seeds, held against its own training films, which its folder
describes (the phantom draws them again, those of a folder are read), and against films of the test patients of the same
population. *Control*: a flow of the same network that was overfitted on 32 films must be flagged. *Speed*: films a
second.

--sheet writes a picture of films of all regions in a random order, and its key in a file of its own: somebody who does
not know the key names the regions.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import describe, write_report
from pedclip.anatomy import REGIONS, display_name
from pedclip.artefacts import read_json, write_file
from pedclip.data.loading import PHANTOM, load
from pedclip.models.checkpoint_files import CONFIG_FILE
from pedclip.models.pedclip import PedCLIP
from pedclip.synthesis.copying import HEAD, synthetic_copy
from pedclip.synthesis.flow.checkpoint import EMBEDDED_NAMES, embedded_folder, open_generator
from pedclip.synthesis.flow.config import GENERIC, FlowRun, load_flow_profile
from pedclip.synthesis.flow.films import training_films
from pedclip.synthesis.flow.generator import FlowGenerator
from pedclip.synthesis.flow.train import train_flow
from pedclip.synthesis.generator import Generator, draw_films, film_seeds
from pedclip.synthesis.named import named_generator
from pedclip.synthesis.prompts import prompt_of
from pedclip.synthesis.quality import (
    FilmEncoder,
    Memorisation,
    QualitySettings,
    film_encoder,
    known_films,
    memorisation_of,
    neutral_encoder,
    pixel_features,
    quality_report,
)
from pedclip.synthesis.quality.encoders import PIXELS
from pedclip.synthesis.quality.entries import COPY_MEASURES
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.storage import load_triplets

MODEL = "pedclip-phantom-small"
NEUTRAL_SIZE = 112  # pixels, as the project's own encoder
TEST_STUDIES = 1000  # of the flow's population, whose test patients stand beside its training films
TIMED = 32  # films
PARTS = ("quality", "memorisation", "speed", "control")


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    report: dict[str, Any] = describe() | {"options": {"prompts": options.prompts, "seeds": options.seeds}}
    # Each part is written as soon as it is there: the last one trains a flow.
    for name, part in (("quality", quality), ("memorisation", memorisation), ("speed", speed), ("control", control)):
        if name in options.parts:
            report[name] = part(options)
            print(json.dumps(report[name], indent=1)[:4000], flush=True)
            if options.json:
                write_report(options.json, report)
    if options.sheet:
        contact_sheet(options)


def encoders() -> tuple[PedCLIP, list[FilmEncoder]]:
    """The project's own encoder, and both encoders as films are measured in them."""
    model = PedCLIP.from_pretrained(MODEL)
    return model, [film_encoder(MODEL, model), neutral_encoder(image_size=NEUTRAL_SIZE)]


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """The report on all copies, with their prompts' regions and findings."""
    model, (_, neutral) = encoders()
    triplets, folder = load_triplets(options.films / "triplets"), options.films / "quality"
    size = model.preprocess.resize
    real = {split: to_arrays(triplets[split], folder / split, size=size) for split in ("train", "test")}
    drawn = {}
    for name, source in (("generic", options.generic), ("domain", options.flow), ("perfect", options.perfect)):
        studies = triplets["test"]["study_id"] if source == PHANTOM else ()
        generator = named_generator(source, studies=studies, image_size=size, judged_on=triplets["test"])
        # The reports of the real test films, so that those are what a perfect generator would draw.
        copy = synthetic_copy(triplets, generator, folder / "copies" / name, splits=("test",))
        films = load_triplets(copy.folder)["test"]
        drawn[name] = [to_arrays(films, folder / f"drawn-{name}", size=generator.image_size)]
    report = quality_report(
        real["train"],
        real["test"],
        drawn,
        model=model,
        model_name=MODEL,
        neutral=neutral,
        settings=QualitySettings(cache=folder / "features"),
    )
    found = report.to_dict()
    # No flow has seen the training films of the experiment: copies are asked for below, of its own.
    del found["memorisation"]
    found["entries"] = [one for one in found["entries"] if one["measure"] not in COPY_MEASURES]
    return found


def memorisation(options: argparse.Namespace) -> dict[str, Any]:
    """Films of a flow's own captions beside its own training films, in each space."""
    flow, config = _flow_folder(options), run_of(_flow_folder(options))
    images, texts = _training_films(config, options.work, options.threads)
    test, patients = _test_films(config, options.work)
    generator = open_generator(flow)
    rows = np.random.default_rng(0).choice(len(texts), options.prompts, replace=False)
    found = _memories(generator, images, test, patients, [texts[row] for row in rows], options.seeds)
    return {"captions": len(rows), "training films": len(images), "test patients": len(set(patients)), "spaces": found}


def control(options: argparse.Namespace) -> dict[str, Any]:
    """The same of a flow that has learned 32 films by heart."""
    config = load_flow_profile("overfit")
    run = options.work / "overfit"
    films = training_films(config, run, workers=options.threads)
    result = train_flow(films.images, films.captions, config=config, run=run)
    # As of any other flow, by what its folder says: films that were drawn otherwise would hide every copy.
    images, texts = _training_films(run_of(result.checkpoint), options.work / "overfit-again", options.threads)
    if not np.array_equal(images, films.images):
        raise SystemExit(f"error: the films that {result.checkpoint} was trained on are not drawn again as they were")
    test, patients = _test_films(config, run)
    found = _memories(result.generator, images, test, patients, texts, options.seeds)
    return {"steps": config.training.steps, "training films": len(images), "seconds": result.seconds, "spaces": found}


def run_of(folder: Path) -> FlowRun:
    """What made a generator, as its folder describes it."""
    stored = read_json(folder / CONFIG_FILE)
    kept = {name: stored[name] for name in ("name", "prompt", "model", "sampling")}
    return FlowRun.from_dict(stored["made_by"] | kept | {"text_encoder": stored["text_encoder"]["checkpoint"]})


def _flow_folder(options: argparse.Namespace) -> Path:
    return embedded_folder(EMBEDDED_NAMES[options.flow]) if options.flow in EMBEDDED_NAMES else Path(options.flow)


def _memories(
    generator: FlowGenerator,
    training: NDArray[np.uint8],
    test: NDArray[np.uint8],
    patients: Sequence[str],
    captions: Sequence[str],
    seeds: int,
) -> dict[str, Any]:
    names = [str(number) for number in range(len(captions))]
    drawn = [draw_films(generator, captions, seeds=film_seeds(names, seed=seed)) for seed in range(seeds)]
    size = generator.image_size
    at = {"compared_at": size}
    spaces: dict[str, Any] = {one.name: one.features for one in encoders()[1]} | {PIXELS: pixel_features}
    # Films of one caption count as of one patient: they are not independent.
    return {
        space: _told(
            memorisation_of(
                known_films(features(training, **at), features(test, **at), test_patients=patients, space=space),
                [features(films, **at) for films in drawn],
                patients=list(captions),
            )
        )
        for space, features in spaces.items()
    }


def _told(found: Memorisation) -> dict[str, Any]:
    return found.to_dict() | {"copies": len(found.copies), "is_flagged": found.is_flagged}


def _training_films(config: FlowRun, run: Path, workers: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Films (N, H, W) that a flow was trained on, drawn again where they are not kept."""
    kept, described = run / "films.npz", json.dumps(config.to_dict(), sort_keys=True)
    if kept.exists():
        with np.load(kept) as stored:
            # Of the run as it is now: a folder may have been trained anew.
            if str(stored["config"]) == described:
                return stored["images"], stored["texts"].tolist()
    films = training_films(config, run, workers=workers)
    images, texts = films.images, films.captions
    whole = {"images": images, "texts": np.array(texts, str), "config": np.array(described)}
    write_file(kept, lambda file: np.savez(file, **whole))
    return images, texts


def _test_films(config: FlowRun, run: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Films (N, H, W) of test patients of a flow's population, and the patient of each."""
    if config.data == GENERIC:
        raise SystemExit("error: a generic flow has no patients whose films its own could be held against")
    drawn = {"studies": TEST_STUDIES, "seed": config.training.seed, "size": config.phantom_size}
    test = load(config.data, **(drawn if config.data == PHANTOM else {}))["test"]
    films = to_arrays(test, run / "cache" / f"test-{config.training.seed}", size=config.model.image_size)
    return films.images, list(films.patients)


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Films a second of each generator, one after the other."""
    found: dict[str, Any] = {"threads": options.threads}
    triplets = load_triplets(options.films / "triplets")["train"].select(range(TIMED))
    drawn: dict[str, Generator] = {
        "flow": open_generator(_flow_folder(options)),
        "phantom": named_generator(PHANTOM, studies=triplets["study_id"], image_size=128),
    }
    for name, generator in drawn.items():
        texts = [_prompt(row, generator) for row in triplets.select_columns(["text", "region", "laterality"])]
        seeds = film_seeds([str(number) for number in range(TIMED)], seed=0)
        # Once before, as the first call also reads reports and warms up.
        draw_films(generator, texts[:8], seeds=seeds[:8])
        started = time.monotonic()
        draw_films(generator, texts, seeds=seeds)
        seconds = time.monotonic() - started
        found[name] = {"films_per_second": TIMED / seconds, "pixels": generator.image_size}
    return found


def _prompt(row: dict[str, Any], generator: Generator) -> str:
    region, side = REGIONS[row["region"]], row["laterality"] or ""
    return prompt_of(row["text"], prompt=generator.prompt, region=region, laterality=side)


def contact_sheet(options: argparse.Namespace, *, columns: int = 8, scale: int = 3) -> None:
    """Two films of each region in a random order, and the key beside the picture."""
    copy = load_triplets(options.films / "copies" / options.generator)["train"]
    rng = np.random.default_rng(options.sheet_seed)
    regions = np.asarray(copy["region"])
    rows = [row for region in np.unique(regions) for row in rng.permutation(np.flatnonzero(regions == region))[:2]]
    rows = rng.permutation(rows).tolist()
    size = int(read_json(options.films / "copies" / options.generator / HEAD)["generator"]["image_size"])
    films = to_arrays(copy.select(rows), options.sheet / "cache", size=size)
    _save_sheet(films, options.sheet, columns=columns, scale=scale)


def _save_sheet(films: TripletArrays, folder: Path, *, columns: int, scale: int) -> None:
    size = films.images.shape[1]
    step = size + 2  # a black line between two films
    sheet = np.zeros((-(-len(films) // columns) * step, columns * step), np.uint8)
    for number, film in enumerate(films.images):
        top, left = number // columns * step, number % columns * step
        sheet[top : top + size, left : left + size] = film
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).resize((sheet.shape[1] * scale, sheet.shape[0] * scale), Image.Resampling.NEAREST).save(
        folder / "sheet.png"
    )
    # By number, row after row from the top left.
    key = [display_name(REGIONS[region]) for region in films.regions]
    (folder / "key.json").write_text(json.dumps(key, indent=1) + "\n")


def _parts(text: str) -> list[str]:
    found = [one.strip() for one in text.split(",") if one.strip()]
    if unknown := [name for name in found if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    return found


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, default=Path("runs/synthetic/phantom/films"), help="of synthetic_vlp")
    parser.add_argument("--flow", default="embedded", help='"embedded", or the folder of a flow')
    parser.add_argument("--generic", default="embedded-generic", help="the same, of one without films")
    parser.add_argument("--perfect", default=PHANTOM, help="the same; of films of the phantom")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/synthetic_quality"), help="folder of its training films"
    )
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help='some of them; "" for the sheet alone')
    parser.add_argument("--prompts", type=int, default=200, help="captions of which films are held against training")
    parser.add_argument("--seeds", type=int, default=3, help="films of each of them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="folder of a contact sheet")
    parser.add_argument("--sheet-seed", type=int, default=0)
    parser.add_argument("--generator", default="domain", help="copy that the sheet shows")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
