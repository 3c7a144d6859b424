"""Evaluation of the core MLLM on scenes with exact ground truth."""
