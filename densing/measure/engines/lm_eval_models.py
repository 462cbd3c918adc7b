"""densing's engines among lm-eval's models.

lm-eval after 0.4.13 finds them by itself, through the package's entry points; earlier ones must be told.
"""

from __future__ import annotations

MODELS = {
    "densing-torch": "densing.measure.engines.torch_engine:TorchEngine",
    "densing-vllm": "densing.measure.engines.vllm_engine:VllmEngine",
}


def register() -> None:
    """Make the engines known to lm-eval in this process; the modules are imported when one is asked for."""
    import lm_eval.models  # noqa: F401, lm-eval's own models first: they register only where none is there
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)
