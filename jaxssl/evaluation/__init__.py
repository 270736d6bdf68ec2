"""What an encoder learned: linear probe, k nearest neighbours, and the protocol behind a number.

Everything here works on arrays of frozen features; ``features.extract`` makes them.
"""
