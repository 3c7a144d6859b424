"""What Sightline KNOWS: the core MLLM, its scenes, training, decoding and evaluation."""
