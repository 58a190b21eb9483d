"""Files of a release: found in a folder or on a hub, and read without running any code that a pickle may hold."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import load_file
from torch import Tensor

from pedclip.models.released.release import Release

# Keys under which frameworks put the tensors; the rest of such a file is about the training.
_CONTAINERS: Final = ("state_dict", "model_state_dict", "model")
_HEAD: Final = 512  # bytes that tell what a file is
_PAGE: Final = (b"<!doctype", b"<html", b"<head", b"<?xml")
_POINTER: Final = b"version https://git-lfs"
_PICKLE: Final = (b"PK\x03\x04", b"\x80")  # torch.save since 1.6, and before
_MOST_NAMES: Final = 4  # tensors named in one line of an error


@dataclass(frozen=True)
class Located:
    """Place of the weights of a release.

    Attributes:
        weights: The file.
        folder: Where its companions are looked for.
        hub: Hub name to ask for companions that are not in the folder; "" for none.
    """

    weights: Path
    folder: Path
    hub: str = ""

    def companion(self, name: str) -> Path | None:
        """A file that lies beside the weights, here or on the hub; None where there is none."""
        if (self.folder / name).is_file():
            return self.folder / name
        if not self.hub:
            return None
        try:
            return Path(hf_hub_download(self.hub, name))
        except (OSError, EntryNotFoundError):
            return None  # whoever needs it says what to fetch


def locate(release: Release, path: str | Path | None = None) -> Located:
    """The weights of a release.

    Args:
        release: Of which model.
        path: A file, or a folder with one of its files; None asks the hub.

    Raises:
        FileNotFoundError: They are not there; the message says which file, from where, under which licence, and what
            to pass.
    """
    if path is None:
        return _on_hub(release)
    path = Path(path)
    # A file of any name: whoever passes it says what it is.
    if path.is_file():
        return Located(path, path.parent)
    # In a folder only published names, since it may hold other weights besides.
    for name in release.files if path.is_dir() else ():
        if (path / name).is_file():
            return Located(path / name, path)
    why = f"the folder {path} has none of its files" if path.is_dir() else f"there is nothing at {path}"
    raise FileNotFoundError(absent(release, why))


def _on_hub(release: Release) -> Located:
    if not release.source:
        raise FileNotFoundError(absent(release, "no hub has them"))
    why = f"{release.source} holds none of them"
    for name in release.files:
        try:
            weights = Path(hf_hub_download(release.source, name))
        except LocalEntryNotFoundError:
            # No network, and this name was never fetched; another one may have been.
            why = f"{release.source} did not answer"
            continue
        except EntryNotFoundError:
            continue  # the next name
        except Exception as error:  # every layer below raises its own class when nothing can be reached
            reason = f"{release.source} did not answer ({type(error).__name__})"
            raise FileNotFoundError(absent(release, reason)) from error
        return Located(weights, weights.parent, release.source)
    raise FileNotFoundError(absent(release, why))


def absent(release: Release, why: str) -> str:
    """The message for weights that are not here, with all that is needed to get them."""
    # All at once, so that the next attempt does not stop at the next question.
    where = f"{release.source} on the hub ({release.link})" if release.source else release.link
    return (
        f"no weights of {release.title}: {why}.\n"
        f"  File:     {' or '.join(release.files)}\n"
        f"  From:     {where}\n"
        f"  Licence:  {release.licence}\n"
        f"  Then:     load_released({release.name!r}, '/path/to/{release.files[0]}')"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors (…,) of a file, by their published names; floats as float32, "module." of parallel training taken off.

    Args:
        path: A .safetensors file, or a pickle of PyTorch, of which tensors are read and nothing else.

    Raises:
        ValueError: The file is damaged or another one than its name says, cannot be read without running code in it,
            or holds no table of tensors; or a tensor is no dense one of finite real numbers.
    """
    head = _known_head(path)
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Of any bytes torch says that they are a pickle with code.
        why = _unread(path) if head.startswith(_PICKLE) else f"{path} is damaged or no file of weights"
        raise ValueError(why) from error
    except Exception as error:  # of bytes that are no pickle the unpickler stumbles in any way, by a KeyError for one
        raise ValueError(f"{path} is damaged or no file of weights: {error}") from error
    tensors = _table(path, content)
    # Training on several devices wraps the model, and every name with it.
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return {name: _plain(path, name, value) for name, value in tensors.items()}


def _plain(path: Path, name: str, value: Tensor) -> Tensor:
    if value.is_meta:
        flaw = "no values (a tensor on the device 'meta')"
    elif value.layout != torch.strided:
        flaw = f"a sparse tensor ({value.layout})"
    elif value.is_complex():
        flaw = f"complex values ({value.dtype})"
    else:
        # Half precision was meant for the disk or a GPU; numbers such as positions stay whole.
        plain = value.float() if value.is_floating_point() else value
        if torch.isfinite(plain).all():
            return plain
        flaw = "NaN or infinite values"  # such weights would answer every film alike, without an error
    raise ValueError(f"{path} holds {flaw} in {name}; expected a dense tensor of finite real numbers")


def _known_head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    # Three downloads that look like weights in a folder, and two names that lead to the wrong reader.
    if not head:
        raise ValueError(f"{path} is empty (0 bytes): fetch it again")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
        raise ValueError(
            f"{path} is a web page and no weights: its link led to a login, to terms or to an error.\n"
            "  Open the link in a browser, accept what it asks for, and fetch the file itself"
        )
    if head.startswith(_POINTER):
        raise ValueError(
            f"{path} is a git-lfs pointer, which stands for the weights and does not hold them.\n"
            "  Run 'git lfs pull' in its folder, or fetch the file itself"
        )
    is_named = path.suffix == ".safetensors"
    if _is_safetensors(head, path.stat().st_size) and not is_named:
        name = path.with_suffix(".safetensors").name
        raise ValueError(f"{path} is a safetensors file under another name: rename it to {name}, and pass that file")
    if head.startswith(_PICKLE) and is_named:
        name = path.with_suffix(".pt").name
        raise ValueError(f"{path} is a file of torch.save, no safetensors: rename it to {name}, and pass that file")
    return head


def _is_safetensors(head: bytes, num_bytes: int) -> bool:
    # Eight bytes say how long the table is, in JSON, that comes next.
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= num_bytes - 8


def _table(path: Path, content: Any) -> dict[str, Tensor]:
    # One inside the other, too: {"model": {"state_dict": …}}.
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"{path} holds no table of tensors, here or under {', '.join(_CONTAINERS)}")
    # A list of parameters, such as that of an optimizer, is numbered.
    if unnamed := [key for key in content if not isinstance(key, str)]:
        raise ValueError(f"{path} holds a tensor under {unnamed[0]!r}; expected names in text, as of a state dict")
    return dict(content)


def _unread(path: Path) -> str:
    # Cloned tensors, as safetensors refuses two names for one memory.
    target = path.with_suffix(".safetensors").name
    return (
        f"{path} is a pickle that holds more than tensors, and reading it would run its code; it was not read.\n"
        "  If you trust its authors, convert it once, in an environment of its own without your data:\n"
        f"    content = torch.load({path.name!r}, weights_only=False)\n"
        "    tensors = content.get('state_dict', content.get('model', content))\n"
        "    tensors = {key: value.clone() for key, value in tensors.items() if isinstance(value, torch.Tensor)}\n"
        f"    safetensors.torch.save_file(tensors, {target!r})\n"
        f"  and pass {target} here"
    )


def some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
