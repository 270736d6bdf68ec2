"""The supervised loop around a method: step, optimizer, log, checkpoints."""
