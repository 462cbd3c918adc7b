"""Read a results file, whichever importer knows it."""

from __future__ import annotations

import math
from pathlib import Path

from densing.core.errors import InputError
from densing.core.files import files_below, reading
from densing.measure.importers.file import Importer, ResultsFile
from densing.measure.importers.table import IMPORTERS
from densing.measure.importers.values import Imported


def read_results(path: Path) -> Imported:
    """Read a results file, whichever importer knows it.

    Importers of other packages are asked first, since their forms may look like one of densing's.

    Raises
    ------
    InputError
        If it is missing, broken, in none of the forms, has no value, or a score that is out of range.
    """
    if path.is_dir():
        found = files_below(path, "results*.json")
        if len(found) != 1:
            raise InputError(
                f"{path}: there are {len(found)} results*.json files in this folder; name the one to import"
            )
        path = found[0]
    if not path.exists():
        raise InputError(f"{path}: no such file")
    file = ResultsFile(path)
    importer = _importer(file)
    with reading(path, "results", "a program wrote it in another form; give the file as the harness wrote it"):
        imported = importer.read(file)
    if not imported.values:
        raise InputError(f"{path}: there is no value in it, of no task and for no model, so there is nothing to import")
    for value in imported.values:
        highest = 1 if value.is_fraction else 100
        if value.is_fraction is not None and not (math.isfinite(value.value) and 0 <= value.value <= highest):
            raise InputError(
                f"{path}: {value.task}, {value.metric} = {value.value:g}: this score must lie between 0 and {highest}"
            )
    return imported


def _importer(file: ResultsFile) -> Importer:
    for row in (*IMPORTERS.outside, *IMPORTERS.own):
        importer: Importer = row.load()
        if importer.recognises(file):
            return importer
    if file.problem:
        raise InputError(file.problem)
    forms = " ".join(f"{row.title}: {row.what}" for row in IMPORTERS.rows)
    raise InputError(f"{file.path}: no importer knows this form: {file.describe()}. The importers are {forms}")
