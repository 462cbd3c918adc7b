"""Tables of what does one job in several ways: engines, importers.

densing's own rows stand in the table. Another package adds a row with an entry point, and nothing here changes::

    [project.entry-points."densing.engines"]
    fast = "my_package.engine:FastEngine"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from densing.core.errors import DensingError, InputError, unknown

OWN = "densing"


@dataclass(frozen=True)
class Plugin:
    """One row of a table.

    Attributes
    ----------
    name : str
        What a user writes to choose it.
    home : str
        Where its code is: "module" or "module:attribute".
    what : str
        What it does, in one sentence.
    install : str
        What pip must install for it.
    package : str
        The package that brings it; with its version, if it is not densing.
    """

    name: str
    home: str
    what: str
    install: str = OWN
    package: str = OWN

    @property
    def title(self) -> str:
        """The name, and the package and version where the code is not densing's."""
        return self.name if self.package == OWN else f"{self.name} ({self.package})"

    def load(self) -> Any:
        """Import the code.

        Raises
        ------
        DensingError
            If a package that it needs is not installed, or its home does not exist.
        """
        try:
            from importlib.metadata import EntryPoint

            return EntryPoint(self.name, self.home, "").load()
        except ImportError as error:
            raise DensingError(
                f"{self.title} cannot be used without {error.name or error}; install {self.install}"
            ) from error
        except AttributeError as error:
            raise DensingError(
                f"{self.title} is not at {self.home} ({error}); ask {self.package} to correct it"
            ) from error


@dataclass(frozen=True)
class PluginTable:
    """All rows of one kind.

    Attributes
    ----------
    kind : str
        In words: "engine".
    group : str
        The group of entry points in which other packages add rows.
    own : tuple of Plugin
        Those that come with densing.
    """

    kind: str
    group: str
    own: tuple[Plugin, ...]

    @property
    def outside(self) -> tuple[Plugin, ...]:
        """Those of other packages that are installed."""
        return installed(self.group)

    @property
    def rows(self) -> tuple[Plugin, ...]:
        """Every row, densing's own first."""
        return self.own + self.outside

    @property
    def names(self) -> list[str]:
        """The names to choose from."""
        return list(dict.fromkeys(row.name for row in self.rows))

    def find(self, name: str) -> Plugin:
        """The row of a name.

        Raises
        ------
        InputError
            If there is none, or several packages bring one under the same name.
        """
        found = [row for row in self.rows if row.name == name]
        if not found:
            raise unknown(self.kind, name, self.names)
        if len(found) > 1:
            raise InputError(
                f"the {self.kind} {name!r} comes from {' and from '.join(row.package for row in found)}; "
                "uninstall all of these packages but one, or have its row renamed"
            )
        return found[0]


@cache  # every installed package is looked at, which takes as long as an import
def installed(group: str) -> tuple[Plugin, ...]:
    """The rows that other packages add in a group of entry points."""
    return tuple(_rows(group))


def _rows(group: str) -> Iterator[Plugin]:
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=group)):
        package = point.dist
        if package is None or package.name == OWN:
            continue
        summary = str(package.metadata.json.get("summary", f"Its package, {package.name}, has no summary."))
        yield Plugin(point.name, point.value, summary, package.name, f"{package.name} {package.version}")
