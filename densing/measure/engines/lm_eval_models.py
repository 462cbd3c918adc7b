"""densing's engines among lm-eval's models.

lm-eval after 0.4.13 finds them by itself, through the package's entry points; earlier ones must be told.
"""

from __future__ import annotations

from densing.measure.engines.table import ENGINES


def register() -> None:
    """Make the engines known to lm-eval in this process; the modules are imported when one is asked for."""
    import lm_eval.models  # noqa: F401, lm-eval's own models first: they register only where none is there
    from lm_eval.api.registry import model_registry

    for row in ENGINES.rows:
        if f"densing-{row.name}" not in model_registry:
            model_registry.register(f"densing-{row.name}", target=row.home)
