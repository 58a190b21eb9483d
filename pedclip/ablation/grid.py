"""Grids: which arms are trained with which seeds, as data. ``grids/*.json`` holds those of notebook 08."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

from pedclip.ablation.films import FilmChoice
from pedclip.artefacts import read_json
from pedclip.models.config import PedCLIPConfig
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.profiles import configure

_FOLDER: Final = "grids"
_RESERVED: Final = ("seed", "data", "studies", "phantom_size")  # decided once for all arms of a grid, or by the cell


@dataclass(frozen=True)
class GridArm:
    """One way to train, from several seeds.

    Args:
        name: As it is reported; a folder name.
        words: What it is, for a table.
        settings: Fields of `pedclip.training.profiles.configure` by name in which it differs from the grid's.
        films: Which films it is trained on; see `FilmChoice`.
    """

    name: str
    words: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    films: FilmChoice = field(default_factory=FilmChoice)

    def __post_init__(self) -> None:
        # The name is part of a path.
        if not self.name or not all(one.isalnum() or one in "-_.+" for one in self.name) or self.name.startswith("."):
            raise ValueError(f"arm {self.name!r} is not allowed: letters, digits, '-', '_', '.' and '+', no dot first")
        if wrong := [name for name in _RESERVED if name in self.settings]:
            raise ValueError(f"arm {self.name!r} sets {wrong[0]}, which is the same for all arms: set it in the grid")


@dataclass(frozen=True)
class Cell:
    """One training: an arm and a seed, with all that decides its result.

    Args:
        arm: Its name.
        seed: Of the training.
        parameters: Of the notebook of a cell, plain JSON values.
    """

    arm: str
    seed: int
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of its folder, such as "mobe-0"."""
        return f"{self.arm}-{self.seed}"


@dataclass(frozen=True)
class Grid:
    """Arms × seeds.

    Args:
        name: As it is reported.
        question: What it answers, in a sentence.
        arms: At least one, with different names.
        reference: Name of the arm that the others are compared with.
        profile: See `pedclip.training.profiles.load_profile`.
        settings: Fields of `pedclip.training.profiles.configure`, the same for all arms.
        seeds: Of the trainings, different.
        test_studies: Further studies of the phantom that all arms are scored on; 0 scores the test split of the data.

    Raises:
        ValueError: A value is not allowed; the message names the arm.
    """

    name: str
    question: str
    arms: tuple[GridArm, ...]
    reference: str
    profile: str = "demo"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    test_studies: int = 0

    def __post_init__(self) -> None:
        # Names are folders: two arms of one name would share a checkpoint.
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"arms={names} is not allowed: different names, at least one")
        # Found out here and not when a table is made of finished trainings.
        if self.reference not in names:
            raise ValueError(f"reference={self.reference!r} is not allowed: one of {names}")
        if len(set(self.seeds)) < len(self.seeds) or not self.seeds or min(self.seeds) < 0:
            raise ValueError(f"seeds={self.seeds} is not allowed: different numbers from 0 on, at least one")
        # Real films cannot be drawn anew, so that their own test split is scored.
        if self.test_studies < 0 or (self.test_studies and self.settings.get("data", "phantom") != "phantom"):
            raise ValueError(f"test_studies={self.test_studies} is not allowed: 0, or studies of the phantom")
        # All arms before the first is trained: a misspelled field would fail after hours.
        for arm in self.arms:
            try:
                cell_config(self.profile, {**self.settings, **arm.settings}, self.seeds[0], arm.films)
            except ValueError as error:
                raise ValueError(f"arm {arm.name!r} of grid {self.name!r}: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A grid from plain values.

        Raises:
            ValueError: A name is unknown or missing, or a value is not allowed.
        """
        # The order of a JSON object is kept, so that a grid is read as it was written.
        arms = []
        for name, stored in _section(values.get("arms", {}), "arms").items():
            known = _section(stored, f"arm {name!r}", known=("words", "settings", "films"))
            choice = FilmChoice.from_dict(_section(known.get("films", {}), f"films of arm {name!r}"))
            rest = {key: value for key, value in known.items() if key != "films"}
            arms.append(GridArm(name=name, films=choice, **rest))
        fields = [one.name for one in dataclasses.fields(cls)]
        given = dict(_section(values, "a grid", known=fields))
        if missing := [name for name in ("name", "question", "reference") if name not in given]:
            raise ValueError(f"a grid needs {', '.join(missing)}")
        return cls(**{**given, "arms": tuple(arms), "seeds": tuple(given.get("seeds", (0, 1, 2)))})

    def replace(self, **changes: Any) -> Self:
        """The grid with some fields changed, such as seeds=(0,) or profile="paper"; `settings` are added to its own."""
        # Added and not replaced: a grid with fewer passes is still the grid.
        settings = {**self.settings, **changes.pop("settings", {})}
        return dataclasses.replace(self, settings=settings, **changes)

    def only(self, names: Sequence[str]) -> Self:
        """The grid with some of its arms; the first is the reference where that is not among them.

        Raises:
            ValueError: There is no such arm.
        """
        # In the order asked for, which is that of tables and charts.
        known = {arm.name: arm for arm in self.arms}
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"grid {self.name!r} has no arm {unknown[0]!r}; it has {', '.join(known)}")
        reference = self.reference if self.reference in names else names[0]
        return dataclasses.replace(self, arms=tuple(known[name] for name in names), reference=reference)

    def cells(self) -> list[Cell]:
        """All cells, seed by seed, so that an interrupted grid has whole comparisons of some seeds."""
        return [
            Cell(
                arm.name,
                seed,
                {
                    "profile": self.profile,
                    "settings": {**self.settings, **arm.settings},
                    "films": arm.films.to_dict(),
                    "test_studies": self.test_studies,
                    "seed": seed,
                },
            )
            for seed in self.seeds
            for arm in self.arms
        ]


def grid_names() -> tuple[str, ...]:
    """Names of the grids that come with the package."""
    # Listed and not written down: a new file is a new grid.
    found = files(__package__).joinpath(_FOLDER).iterdir()
    return tuple(sorted(one.name.removesuffix(".json") for one in found if one.name.endswith(".json")))


def load_grid(name: str | Path) -> Grid:
    """A grid by its name, or from a JSON file of yours.

    Raises:
        FileNotFoundError: There is neither.
        ValueError: The file is no grid; the message names it.
    """
    # A name goes first; whoever has a file called so writes ./layer.json.
    if str(name) in grid_names():
        content = json.loads(files(__package__).joinpath(_FOLDER, f"{name}.json").read_text(encoding="utf-8"))
    elif Path(name).suffix == ".json":
        content = read_json(name)
    else:
        raise FileNotFoundError(
            f"{name} is no grid: one of {', '.join(grid_names())}, or a JSON file such as mine.json"
        )
    try:
        # A TypeError is a wrong kind of value, such as a text for a number.
        return Grid.from_dict(content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def cell_config(profile: str, settings: Mapping[str, Any], seed: int, films: FilmChoice) -> RunConfig:
    """Configuration of the training of a cell.

    Args:
        profile: See `pedclip.training.profiles.load_profile`.
        settings: Fields of `pedclip.training.profiles.configure`.
        seed: Of the training.
        films: Its groups of regions, where there are some, are the experts.

    Raises:
        ValueError: A name is unknown or a value not allowed.
    """
    # Validation films choose nothing here, so as few as there may be are embedded after each pass.
    given: dict[str, Any] = {"validation_rows": 2, **settings, "seed": seed}
    # Experts are named by regions, and a group by the first of its own.
    if films.groups:
        given["regions"] = films.expert_names
    sections = {"model": PedCLIPConfig, "training": TrainingConfig}
    names = {section: {one.name for one in dataclasses.fields(kind)} for section, kind in sections.items()}
    # `configure` takes an empty value for "not given"; here it is one, such as no experts, so it goes in afterwards:
    # all at once, since some values are allowed together only.
    decided = {"objective", "image_weights", "text_weights"}
    rest = {
        name: value
        for name, value in given.items()
        if name in decided or not any(name in one for one in names.values())
    }
    values = configure(profile, rest).to_dict()
    # Sections as they are stored; everything is validated once more at the end.
    for section, known in names.items():
        values[section] |= {name: value for name, value in given.items() if name in known}
    return RunConfig.from_dict(values)


def _section(values: Any, what: str, *, known: Sequence[str] = ()) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{what}: expected an object, got {type(values).__name__}")
    # A misspelled name would otherwise be an arm that differs in nothing.
    if known and (unknown := sorted(set(values) - set(known))):
        raise ValueError(f"{what} has no {unknown[0]!r}; it has {', '.join(known)}")
    return values
