"""Training of the core MLLM: data as a function of the seed, optimisers, stages, and a loop that resumes exactly."""
