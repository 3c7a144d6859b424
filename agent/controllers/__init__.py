"""The language models that think for the agent: chat models by name, local models, and the embedded starter."""
