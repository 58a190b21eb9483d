"""Films that a generator draws from reports: generators, copies of triplets with such films, and arms to compare.

Imports triplets, curation.report for sections, data.phantom, models, training and evaluation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.synthesis.arms import common_reports as common_reports
    from pedclip.synthesis.arms import mixed as mixed
    from pedclip.synthesis.arms import replaced as replaced
    from pedclip.synthesis.arms import same_reports as same_reports
    from pedclip.synthesis.arms import shuffled as shuffled
    from pedclip.synthesis.copying import SyntheticCopy as SyntheticCopy
    from pedclip.synthesis.copying import synthetic_copy as synthetic_copy
    from pedclip.synthesis.diffusers_pipeline import DiffusersGenerator as DiffusersGenerator
    from pedclip.synthesis.diffusers_pipeline import PipelineOptions as PipelineOptions
    from pedclip.synthesis.diffusers_pipeline import open_pipeline as open_pipeline
    from pedclip.synthesis.drawn_films import OtherCopy as OtherCopy
    from pedclip.synthesis.flow.checkpoint import embedded_generator as embedded_generator
    from pedclip.synthesis.flow.checkpoint import open_generator as open_generator
    from pedclip.synthesis.generator import Generator as Generator
    from pedclip.synthesis.generator import draw_films as draw_films
    from pedclip.synthesis.generator import film_seeds as film_seeds
    from pedclip.synthesis.named import named_generator as named_generator
    from pedclip.synthesis.phantom import PhantomGenerator as PhantomGenerator
    from pedclip.synthesis.prompts import prompt_of as prompt_of

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "common_reports": "arms",
        "mixed": "arms",
        "replaced": "arms",
        "same_reports": "arms",
        "shuffled": "arms",
        "SyntheticCopy": "copying",
        "synthetic_copy": "copying",
        "DiffusersGenerator": "diffusers_pipeline",
        "PipelineOptions": "diffusers_pipeline",
        "open_pipeline": "diffusers_pipeline",
        "OtherCopy": "drawn_films",
        "embedded_generator": "flow.checkpoint",
        "open_generator": "flow.checkpoint",
        "Generator": "generator",
        "draw_films": "generator",
        "film_seeds": "generator",
        "named_generator": "named",
        "PhantomGenerator": "phantom",
        "prompt_of": "prompts",
    },
)
