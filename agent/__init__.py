"""THINKS: request -> plan -> evidence -> answer -> verdicts -> trace."""
