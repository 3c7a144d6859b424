"""The detector of our own: its training, its measurement on scenes and on folders of photographs, and its calibration."""
