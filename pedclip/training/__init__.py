"""Pre-training: schedule, loop, command line."""
