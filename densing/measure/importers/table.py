"""The importers there are. A new one is a row here, or an entry point of another package."""

from __future__ import annotations

from densing.measure.plugins import Plugin, PluginTable

IMPORTERS = PluginTable(
    "importer",
    "densing.importers",
    (
        Plugin(
            "lm-eval",
            "densing.measure.importers.lm_eval",
            "JSON results of lm-evaluation-harness 0.3 to 0.4.13, with the samples beside them.",
        ),
        Plugin("lighteval", "densing.measure.importers.lighteval", "JSON results of lighteval."),
        Plugin(
            "OpenCompass",
            "densing.measure.importers.opencompass",
            "A CSV summary of OpenCompass, with the columns dataset, version, metric, mode and one for each model.",
        ),
        Plugin(
            "CSV",
            "densing.measure.importers.plain_csv",
            "A CSV table with the columns model, benchmark and score, and shots and metric where they are known.",
        ),
    ),
)
"""Each home has `recognises` and `read`; see `densing.measure.importers.file.Importer`."""
