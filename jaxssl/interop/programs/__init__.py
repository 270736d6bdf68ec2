"""One file for each program that encoders leave for; their ``PROGRAM`` is found by walking."""
