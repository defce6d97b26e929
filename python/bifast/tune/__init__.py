"""Tuning a model for listening: thresholds of words, margins of the cascade, honest figures."""
