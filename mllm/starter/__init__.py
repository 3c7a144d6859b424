"""The starter core MLLM: a small model trained from nothing on procedural scenes."""
