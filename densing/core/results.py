"""What every result shows of itself: a line in a console, a table in a notebook, a DataFrame for what comes next."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Result:
    """A result that says in one line what it found; its dataclass is declared with ``repr=False``.

    A class has its own `brief`, and its own `to_dict` or `to_frame`, from which the other is made.
    """

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Numbers for tables and JSON; a list for each column where there is more than one row."""
        return {str(name): values for name, values in self.to_frame().to_dict("list").items()}

    def to_frame(self) -> pd.DataFrame:
        """One row of the numbers."""
        import pandas as pd

        return pd.DataFrame([self.to_dict()])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.brief}>"

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(index=False, max_rows=20, float_format=lambda value: f"{value:.4g}")
        return f"<p>{escape(self.brief)}</p>{table}"
