"""One file for each layout; ``LAYOUTS`` of each are found by walking the folder."""
