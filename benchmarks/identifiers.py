"""Recall and false alarms of the search for identifiers before anything is written.

    python -m benchmarks.identifiers --data /path/to/reports --json benchmarks/results/identifiers.json

Recall: 300 invented people in sentences of many forms, one half of them used while developing and the other only here;
a sentence counts as found if any passage of it is, as one is enough to stop a run. False alarms: sentences of real
reports that are blocked. Those packs hold surrogate names and real dates too, which are rightly found, so that the
figure is an upper bound; eponyms must pass altogether.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.report import describe, write_report
from pedclip.curation.privacy.identifiers import find_identifiers
from pedclip.curation.privacy.name_words import is_listed

NAMES: Final = Path(__file__).parent / "annotations/made_names.json"
PACKS: Final = ("iu-openi-reports", "cmc2007-paediatric-reports", "mtsamples-radiology", "covid-cxr-notes")

# {g} given name, {f} family name, {G} and {F} the same in capitals, {l} and {m} in small letters.
SENTENCES: Final = {
    "patient, full name": "Patient {g} {f}, buckle fracture of the distal radius.",
    "last, first:": "{f}, {g}: no fracture or dislocation.",
    "last, first, age": "{f}, {g}, 7 years, with a healing fracture of the clavicle.",
    "title in another language": "Shown to Dr. med. {f}, who agrees that the epiphysis is displaced.",
    "title": "The finding of a small effusion was given to Dr. {g} {f}.",
    "Herr, Frau": "Frau {f} has a fracture of the ulna.",
    "full name begins": "{g} {f} fell and has a torus fracture.",
    "given name begins": "{g} has clear lungs.",
    "family name with age": "{f} is a 7-year-old with a normal elbow.",
    "full name within": "The lungs of {g} {f} are clear.",
    "full name at the end": "Unchanged fracture in the film of {g} {f}.",
    "given name within": "Healing fracture of the tibia in {g} after casting.",
    "possessive": "{f}'s fracture shows callus.",
    "told": "Dislocation of the hip, told {g} {f} at the bedside.",
    "mother": "No foreign body; mother {g} was reassured.",
    "baby": "Baby {f} has hyaline membrane disease.",
    "initial": "Film reviewed with {i}. {f} because of the subtle lucency.",
    "signature": "Normal chest. Dictated by {g} {f}",
    "capitals, last, first": "{F}, {G}: NO FRACTURE.",
    "capitals, patient": "PATIENT {G} {F} HAS A FRACTURE OF THE RADIUS.",
    "small letters, patient": "patient {l} {m} has a fracture of the radius.",
    "name field": "Name: {g} {f} no acute fracture",
}


def people(half: str) -> list[tuple[str, str]]:
    """Given and family name of the invented people of one half: before and behind the first blank."""
    return [(given, family) for given, _, family in (name.partition(" ") for name in made(half))]


def made(key: str) -> list[str]:
    """One list of the file of invented people and of sentences with eponyms."""
    return list(json.loads(NAMES.read_text(encoding="utf-8"))[key])


def filled(sentence: str, given: str, family: str) -> str:
    """A sentence with a name in the spellings that it asks for."""
    spelt = {"g": given, "f": family, "G": given.upper(), "F": family.upper(), "l": given.lower(), "m": family.lower()}
    return sentence.format(**spelt, i=given[0])


def recall(half: str) -> dict[str, Any]:
    """Fraction of the sentences that would stop a run: all, by form, and by how many of both names are listed."""
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for given, family in people(half):
        known = f"{is_listed(given) + is_listed(family)} of the two names listed"
        for form, sentence in SENTENCES.items():
            hit = any(item.kind == "name" for item in find_identifiers(filled(sentence, given, family)))
            for key in ("all", form, known):
                tried[key] += 1
                found[key] += hit
    rates = {key: round(found[key] / tried[key], 4) for key in tried}
    listed = {key: {"sentences": tried[key], "recall": rates[key]} for key in sorted(tried) if "listed" in key}
    return {
        "people": len(people(half)),
        "sentences": tried["all"],
        "recall": rates["all"],
        "by_listed": listed,
        "by_form": {form: rates[form] for form in SENTENCES},
    }


def false_alarms(texts: Iterable[str]) -> dict[str, Any]:
    """Sentences of real reports that hold something, by kind; counts only, no text."""
    total, blocked, by_name, kinds = 0, 0, 0, Counter[str]()
    for text in texts:
        for sentence in filter(str.strip, re.split(r"(?<=[.!?])\s+|\n", text)):
            found = {item.kind for item in find_identifiers(sentence)}
            total += 1
            blocked += bool(found)
            by_name += "name" in found
            kinds.update(found)
    return {
        "sentences": total,
        "blocked": blocked,
        "rate": round(blocked / max(total, 1), 5),
        "with_a_name": by_name,
        "rate_of_names": round(by_name / max(total, 1), 5),
        "kinds": dict(kinds.most_common()),
    }


def speed(texts: Sequence[str]) -> float:
    """Reports per second of processor time, best of three."""
    rates = []
    for _ in range(3):
        start = time.process_time()
        for text in texts:
            find_identifiers(text)
        rates.append(len(texts) / (time.process_time() - start))
    return round(max(rates))


def measure(data: Path) -> dict[str, Any]:
    """Everything: both halves, the eponyms, and each pack of reports that is there."""
    result: dict[str, Any] = {half: recall(half) for half in ("developing", "held_out")}
    result["eponyms"] = false_alarms(made("eponyms"))
    packs = {name: data / name / "reports.jsonl" for name in PACKS if (data / name / "reports.jsonl").is_file()}
    for name, file in packs.items():
        texts = [json.loads(line)["raw_text"] for line in file.read_text(encoding="utf-8").splitlines()]
        result.setdefault("packs", {})[name] = {
            "reports": len(texts),
            **false_alarms(texts),
            "reports_per_second": speed(texts),
        }
    return result


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("shared/data"), help="folder with the packs of real reports")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    result = measure(options.data)
    print(json.dumps(result, indent=2))
    if options.json:
        write_report(options.json, {**describe(), **result})


if __name__ == "__main__":
    main()
