"""Files of a diffusers pipeline: found in a folder or on a hub, and looked at before a library opens them.

A pipeline may name code of its own and weights in pickles, and both would be run. Neither is read here.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pedclip.artefacts import read_json
from pedclip.weights.installed import sha256_of

INDEX: Final = "model_index.json"
# All that a pipeline is read from, in its folder and in one folder per component.
_READ: Final = ("*.json", "*.txt", "*.model", "*.safetensors")
_PICKLES: Final = ("*.bin", "*.ckpt", "*.pt", "*.pth")
_VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_LIBRARIES: Final = ("diffusers", "transformers")
# Not part of a film: it replaces films by black ones that it takes for something else.
SAFETY: Final = "safety_checker"


def pipeline_folder(source: str | Path, *, from_hub: bool = False) -> Path:
    """Folder of a pipeline that may be opened.

    Args:
        source: Folder, or with `from_hub` a name "OWNER/MODEL".
        from_hub: Ask the hub, and its cache first. No network is used without it.

    Raises:
        FileNotFoundError: There is no pipeline, or no hub; the message says what to pass.
        ValueError: The name is none of a hub, or the pipeline has code of its own or weights in pickles.
    """
    folder = _from_hub(str(source)) if from_hub else Path(source)
    if not (folder / INDEX).is_file():
        hint = " To fetch it by that name from the hub, pass from_hub=True." if _HUB_NAME.fullmatch(str(source)) else ""
        what = f"has no {INDEX}" if folder.is_dir() else "is no folder"
        raise FileNotFoundError(f"{folder} {what}; expected a folder that diffusers saved a pipeline in.{hint}")
    check_pipeline(folder)
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a hub; expected 'OWNER/MODEL', or a folder without from_hub=True")
    # No second copy in half precision, and no single file beside the components.
    patterns = [INDEX, *(f"*/{pattern}" for pattern in _READ)]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*.fp16.*", "*.non_ema.*"]))
    except Exception as error:  # every layer below raises its own class when nothing can be reached
        raise FileNotFoundError(
            f"{name} did not come from the hub ({type(error).__name__}). On a machine with a network:\n"
            f"  hf download {name} --local-dir FOLDER\n"
            "then pass that FOLDER, without from_hub=True. A gated model asks for its terms on its page first"
        ) from error


def check_pipeline(folder: Path) -> None:
    """A ValueError for a pipeline that could run code of its own, or whose weights are in pickles."""
    index = _index(folder)
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise ValueError(f"{folder / INDEX} names a pipeline with code of its own ({name!r}), which is not run")
    for component, (library, _) in _components(index):
        # The checker's library is a module of diffusers; it is not opened.
        if component == SAFETY or library is None:
            continue
        if library not in _LIBRARIES:
            raise ValueError(f"{folder / INDEX}: {component} is of {library!r}, expected {' or '.join(_LIBRARIES)}")
        place = folder / component
        if not place.is_dir():
            raise FileNotFoundError(f"{place} is missing, which {INDEX} names: fetch the whole folder again")
        # Without its words a tokenizer opens all the same, and takes every one for the same unknown.
        if component.startswith("tokenizer") and not any(one for name in _VOCABULARIES for one in place.glob(name)):
            raise FileNotFoundError(
                f"{place} has no vocabulary ({', '.join(_VOCABULARIES)}): fetch the whole folder again"
            )
        # A model has config.json; a tokenizer or a scheduler has no weights.
        if (place / "config.json").is_file() and not any(place.glob("*.safetensors")):
            pickles = sorted(path.name for pattern in _PICKLES for path in place.glob(pattern))
            found = f"only {pickles[0]}, a pickle, which could run code" if pickles else "no weights"
            raise ValueError(f"{place} holds {found}; expected *.safetensors. Fetch or convert these")


def has_safety_checker(folder: Path) -> bool:
    """True where the pipeline names one, which must be told to stay away."""
    return SAFETY in _index(folder)


def transformers_models(folder: Path) -> dict[str, str]:
    """Components that are models of transformers, with the name of the class."""
    return {
        component: str(kind)
        for component, (library, kind) in _components(_index(folder))
        if component != SAFETY and library == "transformers" and (folder / component / "config.json").is_file()
    }


def pipeline_digest(folder: Path) -> str:
    """SHA-256 over weights, configurations and tokenizers of a pipeline, whatever folder it lies in."""
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield folder / INDEX
    # Components only: a README or examples may change without any film changing.
    for component, (library, _) in _components(_index(folder)):
        if component != SAFETY and library is not None:
            yield from (path for pattern in _READ for path in (folder / component).glob(pattern))


def _index(folder: Path) -> dict[str, Any]:
    index = read_json(folder / INDEX)
    if not isinstance(index, dict):
        raise ValueError(f"{folder / INDEX} is no description of a pipeline")
    return index


def _components(index: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name, value in index.items():
        # Other entries are plain options, such as "requires_safety_checker".
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2:
            yield name, (value[0], value[1])
