"""Speed and quality figures, each from one command, written to benchmarks/out/."""
