"""The report: one self-contained HTML page about a result, for people."""
