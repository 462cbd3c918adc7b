"""A density as the metadata of a Hugging Face model card."""

from __future__ import annotations

import math

import yaml

from densing import __version__
from densing.core.units import short_count
from densing.density.densities import Density


def model_card(density: Density) -> str:
    """The `model-index` block and a sentence that says what it means.

    Returns
    -------
    str
        YAML front matter between its dashes, then Markdown. Out of range, the value is the bound, and said to be.

    See Also
    --------
    https://huggingface.co/docs/hub/model-cards#evaluation-results
    """
    own, every = density.interval_within, density.interval
    metric = {
        "type": "capability_density",
        "name": f"capability density ρ in frame {density.frame}",
        "value": float(f"{density.value if math.isfinite(density.value) else density.bound:.4g}"),
        "args": {
            "status": str(density.status),
            "interval_95_at_the_frames_optimum": [_bound(own.low), _bound(own.high)],
            "interval_95_over_all_optima": [_bound(every.low), _bound(every.high)],
        },
    }
    index = {
        "model-index": [
            {
                "name": density.model or "this model",
                "results": [
                    {
                        "task": {"type": "text-generation"},
                        "dataset": {"name": density.benchmark, "type": density.frame},
                        "metrics": [metric],
                        "source": {"name": f"densing {__version__}"},
                    }
                ],
            }
        ]
    }
    block = yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=100)
    size = short_count(density.size)
    sentence = (
        f"Capability density **{density.text}** on {density.benchmark} in reference frame `{density.frame}` "
        f"(95% {own} at the frame's optimum, {every} over all optima), for {size} parameters."
    )
    return f"---\n{block}---\n{sentence}"


def _bound(value: float) -> float | str:
    return float(f"{value:.4g}") if math.isfinite(value) else "unbounded"
