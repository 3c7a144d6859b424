"""Core models from public parts on stock transformers classes: composed, trained in three stages, loaded and served."""
