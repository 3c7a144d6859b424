"""The face for people who never read code: the pages of the Gradio app."""
