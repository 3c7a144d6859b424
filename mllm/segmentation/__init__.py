"""The starter segmenter: SAM's prompt encoder and mask decoder over a small image encoder, and how it is trained."""
