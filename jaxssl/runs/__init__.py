"""A run: its recipe, its directory, and how both become a trained encoder."""
