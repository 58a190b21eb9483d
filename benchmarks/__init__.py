"""Timings and checks that are measured, never tested."""
