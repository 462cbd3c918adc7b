"""Results of other evaluations: lm-evaluation-harness, lighteval, OpenCompass, plain CSV, and what is added.

Every value of a file is imported as it stands there, with the settings the file states. Values of benchmarks
that densing knows carry their name; the others are kept and listed, not dropped.
"""
