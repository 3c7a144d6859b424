"""Claims -> evidence -> verdicts -> correction: an answer checked against what the tools saw."""
