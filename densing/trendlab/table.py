"""The registry as one table: a row a model, with its date, size, family, lab and preferred scores."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from densing.registry import SHIPPED, Registry

if TYPE_CHECKING:
    import pandas as pd


@lru_cache(maxsize=1)
def _labs() -> dict[str, str]:
    import pandas as pd

    table = pd.read_csv(SHIPPED / "labs.csv")
    return dict(zip(table["family"], table["lab"], strict=True))


def lab_of(family: str) -> str:
    """The organisation that a family of models comes from; a family that is not listed is a lab of its own."""
    return _labs().get(family, family)


def registry_table(registry: Registry) -> pd.DataFrame:
    """One row per model with a release date and a size.

    Returns
    -------
    DataFrame
        Columns model, family, lab, release_date (datetime64), total, active and non_embedding (parameters, NaN
        where unknown), and one per benchmark (percent, NaN where there is none).
    """
    import pandas as pd

    rows = [
        {
            "model": entry.model,
            "family": entry.family or entry.model,
            "lab": lab_of(entry.family or entry.model),
            "release_date": pd.Timestamp(entry.release_date),
            "total": (entry.total_params_B or float("nan")) * 1e9,
            "active": (entry.active_params_B or float("nan")) * 1e9,
            "non_embedding": (entry.params_non_embedding_B or float("nan")) * 1e9,
        }
        | {name: value.score for name, value in registry.preferred(entry.model).items()}
        for entry in registry.models.values()
        if entry.release_date is not None and (entry.total_params_B or entry.params_non_embedding_B)
    ]
    return pd.DataFrame(rows).sort_values(["release_date", "model"], ignore_index=True)
