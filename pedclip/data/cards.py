"""Data cards: descriptions of data sets, read from `data_cards/*.md`, and whether a folder holds it.

A card is Markdown with a YAML header. People read the text, the loader reads the header, so that neither can drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from huggingface_hub import RepoCard
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pedclip.data.official_tables import OfficialTables
from pedclip.triplets.tabular import TableError, open_table

_INSTALLED: Final = Path("share", "pedclip", "data_cards")
_MOST_NAMES: Final = 24  # columns named in one line of an error
_TASKS: Final = {
    *("image-classification", "zero-shot-image-classification", "image-to-text", "object-detection"),
    *("image-segmentation", "image-feature-extraction", "tabular-regression", "text-to-image"),
}
_SIZES: Final = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M"}


def _known(values: set[str]) -> AfterValidator:
    def check(given: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [value for value in given if value not in values]:
            raise ValueError(f"unknown {unknown[0]!r}; expected some of {', '.join(sorted(values))}")
        return given

    return AfterValidator(check)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Access(_Strict):
    """Access to the data set.

    Args:
        how: In a sentence.
        url: Page to start from, "" where there is none.
        credentials: What has to be signed or proven first, "none" where nothing.
    """

    how: str = Field(min_length=10)
    url: str = Field(pattern=r"^(https://\S+)?$")
    credentials: str = Field(min_length=4)


class FileRule(_Strict):
    """Files that a complete copy holds.

    Args:
        path: Pattern relative to the root, as for `pathlib.Path.glob`, or several of which any may match.
        what: What these files are.
        count: Published number, None where there is none.
        columns: Columns that the adapter reads; "a|b" means either. The first matching file is looked at.
        required: True where the adapter stops without them.
    """

    path: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    what: str
    count: int | None = Field(default=None, ge=1)
    columns: tuple[str, ...] = ()
    required: bool = True


class Card(_Strict):
    """Header of a data card.

    Args:
        name: File name without its ending; what `pedclip.data.load` takes.
        text: The Markdown below the header.
        loader: Name of the adapter in `pedclip.data.adapters`, "folder" or "phantom".
        source: What the column `source` of the triplets holds.
        license: Identifier of the Hugging Face hub, "other" where it has none; the text then says more.
        license_name: Name of such another licence, where it has one.
        labels: Label names as the files write them, empty where the adapter takes any.
        box_labels: The same for boxes.
        tasks: What the data set can be used for here.
        official_split: Which split the publishers give, and what the loader does where they give none.
        paper_role: Which task of which paper uses it.
        outputs_may_be_shown: True where images may appear in committed outputs.
    """

    name: str
    text: str
    pretty_name: str
    license: str
    license_name: str = ""
    language: tuple[str, ...]
    task_categories: Annotated[tuple[str, ...], _known(_TASKS)]
    size_categories: Annotated[tuple[str, ...], _known(_SIZES)]
    access: Access
    loader: str
    source: str = Field(pattern=r"^[a-z0-9-]+$")
    files: tuple[FileRule, ...]
    labels: tuple[str, ...] = ()
    box_labels: tuple[str, ...] = ()
    tasks: tuple[str, ...] = Field(min_length=1)
    official_split: str = Field(min_length=4)
    citation: str = Field(min_length=10)
    paper_role: str = Field(min_length=10)
    outputs_may_be_shown: bool


@dataclass(frozen=True)
class FileCheck:
    """One rule of a card against a folder.

    Args:
        rule: The rule.
        found: Number of matching files.
        table: Name of the first matching file, where the rule asks for columns.
        missing_columns: Columns that it lacks.
        columns: Columns that it has.
    """

    rule: FileRule
    found: int
    table: str = ""
    missing_columns: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def state(self) -> Literal["ok", "differs", "absent", "missing"]:
        """The rule's state: "missing" stops the loader; "absent" (optional) and "differs" (in number) do not."""
        if not self.found:
            return "missing" if self.rule.required else "absent"
        if self.missing_columns:
            return "missing"
        return "ok" if self.rule.count in {None, self.found} else "differs"


class CardError(ValueError):
    """A card that is unknown or invalid; the message names the card, the key and what was expected."""


class FolderDiffers(ValueError):
    """A folder that is not the data set of the card; the message holds the table of what was expected and found."""


def cards_folder() -> Path:
    """The folder of the cards: beside the package in a checkout, else where the installed package put it.

    Raises:
        CardError: Neither exists.
    """
    here = Path(__file__)
    # Whatever the scheme of the installation, `share` is in a folder above the package.
    for place in (here.parents[2] / "data_cards", *(parent / _INSTALLED for parent in here.parents)):
        if (place / "phantom.md").is_file():
            return place
    raise CardError(f"no {_INSTALLED.as_posix()} above {here.parents[2]}; install pedclip again, or use a checkout.")


def card_names() -> list[str]:
    """Names of all cards, sorted."""
    return sorted(path.stem for path in cards_folder().glob("*.md"))


@cache
def read_card(name: str) -> Card:
    """A card by name, validated.

    Raises:
        CardError: No such card (with the close spelling), no YAML header, or a key that is missing, unknown or wrong.

    Example:
        >>> read_card("phantom").outputs_may_be_shown
        True
    """
    if name not in card_names():
        close = get_close_matches(name, card_names(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise CardError(f"no data card {name!r}; there are {', '.join(card_names())}.{hint}")
    return parse_card(name, (cards_folder() / f"{name}.md").read_text(encoding="utf-8"))


def parse_card(name: str, content: str) -> Card:
    """The card in a Markdown text.

    Raises:
        CardError: As in `read_card`.
    """
    try:
        markdown = RepoCard(content)
        header = vars(markdown.data)  # its `to_dict` drops keys without a value
        card = Card(name=name, text=markdown.text.strip(), **header) if header else None
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise CardError(f"{name}.md: {'; '.join(problems)}.") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise CardError(f"{name}.md: the header is no YAML mapping ({str(error).splitlines()[0]}).") from error
    if card is None:
        raise CardError(f"{name}.md has no YAML header between two lines of ---.")
    return card


def check_folder(card: Card, root: str | Path) -> list[FileCheck]:
    """Compare a folder with every rule of a card: files present, their number, columns of their tables.

    Nothing is opened but the first line of each table.
    """
    tables = OfficialTables(Path(root), table_names(card))
    return [_check(rule, Path(root), tables) for rule in card.files]


def require_folder(card: Card, root: str | Path) -> list[FileCheck]:
    """`check_folder`, refusing a folder in which something required is missing.

    Raises:
        FolderDiffers: No such folder, or a required file or column is missing; with the table and the access page.
    """
    if not Path(root).is_dir():
        raise FolderDiffers(f"{root} is no folder; {access_words(card)}")
    checks = check_folder(card, root)
    missing = [check for check in checks if check.state == "missing"]
    if missing:
        names = "; ".join(_problem(check) for check in missing)
        raise FolderDiffers(
            f"{root} is not {card.pretty_name} as its card describes it: {names}.\n{check_table(checks)}\n"
            f"{access_words(card)}"
        )
    return checks


def check_table(checks: Sequence[FileCheck]) -> str:
    """The checks as aligned text: state, number found, number expected, pattern, what it is."""
    rows = [("state", "found", "expected", "files", "what")]
    for check in checks:
        expected = "any" if check.rule.count is None else f"{check.rule.count:,}"
        lacks = f" (no column {', '.join(check.missing_columns)})" if check.missing_columns else ""
        rows.append((check.state, f"{check.found:,}", expected, " or ".join(check.rule.path), check.rule.what + lacks))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, row[:4], widths), row[4]]).rstrip() for row in rows)


def access_words(card: Card) -> str:
    """A sentence on where the data set comes from, for errors."""
    page = f" {card.access.url}" if card.access.url else ""
    return f"How to get {card.pretty_name}: {card.access.how} ({card.access.credentials}).{page}"


def header_of(path: Path) -> tuple[str, ...]:
    """Names in the first line of a CSV file (also .gz), without outer blanks; empty where it cannot be read."""
    try:
        return open_table(path, is_strict=False).names
    except TableError:
        return ()


def pick(columns: Sequence[str], either: str) -> str:
    """The first name of "a|b" that a table has, "" where it has none."""
    return next((name for name in either.split("|") if name in columns), "")


def table_names(card: Card) -> list[str]:
    """Names of the official tables and lists of a card."""
    return [name for rule in card.files for name in rule.path if "*" not in name]


def _check(rule: FileRule, root: Path, tables: OfficialTables) -> FileCheck:
    found = {path for pattern in rule.path for path in root.glob(pattern) if path.is_file()}
    names = [name for name in rule.path if "*" not in name]
    # Not where it belongs: people keep tables in folders of their own.
    if not found and names and (elsewhere := tables.find(*names, columns=rule.columns)[0]):
        found = {elsewhere}
    if not found or not rule.columns:
        return FileCheck(rule, len(found))
    columns = header_of(min(found))
    missing = tuple(name for name in rule.columns if not pick(columns, name))
    return FileCheck(rule, len(found), min(found).name, missing, columns)


def _problem(check: FileCheck) -> str:
    if not check.found:
        return f"no {' or '.join(check.rule.path)} ({check.rule.what})"
    shown = ", ".join(check.columns[:_MOST_NAMES]) or "none that can be read"
    unused = [name for name in check.columns if not any(name in rule.split("|") for rule in check.rule.columns)]
    hints = [
        f"; is {close[0]!r} meant to be {name!r}?"
        for name in check.missing_columns
        if (close := get_close_matches(name, unused, n=1))
    ]
    lacking = ", ".join(check.missing_columns[:_MOST_NAMES])
    return f"{check.table} has no column {lacking}{''.join(hints)} (its columns: {shown})"
