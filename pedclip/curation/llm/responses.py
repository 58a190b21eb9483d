"""Responses of language models: read, checked against the report, and accepted or rejected with a reason.

Nothing is repaired. Code fences and remarks around the JSON object are tolerated, because chat models add them; any
other departure is a `Rejection`, whose reason is sent back to the model with the prompt.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pedclip.anatomy import find_mentions
from pedclip.curation.llm.grounding import find_source
from pedclip.curation.report.exam_labels import read_label
from pedclip.curation.report.filmed_regions import shown_on
from pedclip.curation.report.sentences import split_sentences

MAX_RESPONSE: Final = 200_000  # characters; longer is a model that does not stop
_MAX_BRACES: Final = 50  # at which an object is looked for

Sourced = tuple[int, str]  # number of the report sentence, and the text taken from it


@dataclass(frozen=True)
class Rejection:
    """Reason why a response is not used, in words that a model can act on; it quotes the response, never the report."""

    reason: str


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Kept(_Response):
    """Numbers of the sentences that speak of the films."""

    keep: list[int]


class Selected(_Response):
    """Numbers of the sentences of each region."""

    excerpts: dict[str, list[int]]


class Cleaned(_Response):
    """The report without history and other matter."""

    text: str


class Rewritten(_Response):
    """The text of each region."""

    excerpts: dict[str, str]


Model = TypeVar("Model", bound=_Response)


def read_kept(response: str, shown: Mapping[int, str]) -> tuple[Sourced, ...] | Rejection:
    r"""Sentences that the first pass keeps, in report order.

    Args:
        response: What the model said.
        shown: The numbered sentences of the prompt.

    Example:
        >>> read_kept('```json\n{"keep": [2]}\n```', {1: "Fell today.", 2: "No fracture."})
        ((2, 'No fracture.'),)
        >>> read_kept('{"keep": [3]}', {1: "Fell today.", 2: "No fracture."}).reason
        'there is no sentence 3'
    """
    found = _parse(response, Kept)
    if isinstance(found, Rejection):
        return found
    # Asked again where nothing is kept: a model that did not understand says just that.
    return _pick(found.keep, shown) or Rejection("no sentence is kept; keep those that say what the films show")


def read_selected(
    response: str, shown: Mapping[int, str], regions: Collection[str]
) -> dict[str, tuple[Sourced, ...]] | Rejection:
    """Sentences of each filmed region, in report order.

    Args:
        response: What the model said.
        shown: The numbered sentences of the prompt.
        regions: The filmed regions: exactly these must be answered.
    """
    found = _parse(response, Selected)
    if isinstance(found, Rejection):
        return found
    return _by_region(found.excerpts, regions, shown, lambda _, numbers: _pick(numbers, shown))


def read_cleaned(response: str, sources: Mapping[int, str]) -> tuple[Sourced, ...] | Rejection:
    """Sentences of the first pass in `rewrite` mode, each with the report sentence that supports it.

    Args:
        response: What the model said.
        sources: The sentences of the report by number, those under a history or technique heading left out.
    """
    found = _parse(response, Cleaned)
    if isinstance(found, Rejection):
        return found
    return _ground(found.text, sources, "text") or Rejection("the text is empty; keep what the films show")


def read_rewritten(
    response: str, sources: Mapping[int, str], regions: Collection[str]
) -> dict[str, tuple[Sourced, ...]] | Rejection:
    """Sentences of each filmed region in `rewrite` mode, each with the report sentence that supports it."""
    found = _parse(response, Rewritten)
    if isinstance(found, Rejection):
        return found
    return _by_region(found.excerpts, regions, sources, lambda region, text: _ground(text, sources, region))


Value = TypeVar("Value")


def _by_region(
    excerpts: Mapping[str, Value],
    regions: Collection[str],
    shown: Mapping[int, str],
    read: Callable[[str, Value], tuple[Sourced, ...] | Rejection],
) -> dict[str, tuple[Sourced, ...]] | Rejection:
    """Reads every region, and asks whether the whole is plausible."""
    if unknown := sorted(set(excerpts) - set(regions)):
        return Rejection(f"these were not filmed: {', '.join(unknown)[:200]}; the keys must be {', '.join(regions)}")
    # A forgotten film is an error, an empty one is a statement.
    if missing := [region for region in regions if region not in excerpts]:
        return Rejection(f"{', '.join(missing)} is missing; leave it empty if nothing is said of it")
    result = {}
    for region in regions:
        part = read(region, excerpts[region])
        if isinstance(part, Rejection):
            return part
        result[region] = part
    return find_implausible(result, shown) or result


def find_implausible(excerpts: Mapping[str, Sequence[Sourced]], shown: Mapping[int, str]) -> Rejection | None:
    """Reason against a division of sentences between regions, or None.

    A sentence may name a region other than its own (a rib on a shoulder film), so single sentences are not judged. A
    whole excerpt is: it may not be empty while a sentence speaks of this region alone, and may not speak mostly of
    films that show nothing of this region.
    """
    if not any(excerpts.values()):
        return Rejection("every film is left empty")
    if len(excerpts) < 2:
        return None
    # Which of the films each sentence names; most name none.
    named = {number: _named(text) & set(excerpts) for number, text in shown.items()}
    for region, part in excerpts.items():
        own = [number for number, regions in named.items() if regions == {region}]
        if own and not part:
            return Rejection(f"{region} is empty, but sentence {own[0]} speaks of it: give each film its sentences")
        # More than half of what was given, and more than one sentence: a single rib on a shoulder film is no error.
        about = [named[number] for number in {number for number, _ in part} if named[number]]
        wrong = sum(regions.isdisjoint({region, *shown_on(region)}) for regions in about)
        if wrong > 1 and wrong > len(about) - wrong:
            return Rejection(f"most sentences of {region} speak of other films")
    return None


def _pick(numbers: Sequence[int], shown: Mapping[int, str]) -> tuple[Sourced, ...] | Rejection:
    for number in numbers:
        if number not in shown:
            return Rejection(f"there is no sentence {str(number)[:20]}")
    return tuple((number, shown[number]) for number in sorted(set(numbers)))


def _ground(text: str, sources: Mapping[int, str], name: str) -> tuple[Sourced, ...] | Rejection:
    """The sentences of a written text with their sources; headings fall out, repetitions count once."""
    result: dict[Sourced, None] = {}  # a set that keeps its order
    for number, sentence in enumerate(split_sentences(text, 0, len(text)), start=1):
        if read_label(sentence.text):  # a heading such as "Left hip:"
            continue
        source = find_source(sentence.text, sources)
        if isinstance(source, str):
            return Rejection(f"sentence {number} of {name}: {source}")
        result[source, sentence.text] = None
    return tuple(result)


@lru_cache(maxsize=4096)
def _named(sentence: str) -> frozenset[str]:
    return frozenset(mention.region for mention in find_mentions(sentence))


def _parse(response: str, model: type[Model]) -> Model | Rejection:
    found = find_object(response)
    if isinstance(found, Rejection):
        return found
    try:
        return model.model_validate(found)
    except ValidationError as error:
        # The first error is enough for a second attempt; the input is left out, as it may quote the report.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))[:100]
        return Rejection(f"the JSON has another form: {field}: {first['msg'][:100]}")


def find_object(response: str) -> dict[str, Any] | Rejection:
    """The one JSON object in a response, whatever stands around it.

    Example:
        >>> find_object('Here it is: {"keep": [1]} Anything else?')
        {'keep': [1]}
        >>> find_object('{"keep": [1]} or {"keep": [2]}').reason
        'there are several JSON objects'
    """
    if len(response) > MAX_RESPONSE:
        return Rejection("the answer is too long")
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    # Every brace may begin the object; text around it may hold braces of its own.
    objects, start = [], response.find("{")
    for _ in range(_MAX_BRACES):
        if start < 0:
            break
        try:
            found, end = decoder.raw_decode(response, start)
        except _RepeatedKey as error:
            return Rejection(f"the key {str(error)[:100]} occurs twice")
        except (ValueError, RecursionError):  # no object begins here, or one nested to break the parser
            end = start + 1
        else:
            objects.append(found)
        start = response.find("{", end)
    if len(objects) == 1:
        return dict(objects[0])
    return Rejection("there are several JSON objects" if objects else "there is no complete JSON object")


class _RepeatedKey(Exception):
    """A key that occurs twice, where JSON would silently keep the last."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _RepeatedKey(key)
        result[key] = value
    return result
