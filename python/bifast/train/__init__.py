"""Train binary keyword spotters: the extra `bifast[train]` (PyTorch).

Waveforms become features through the engine's own front-end, a net learns, and the exporter writes
the `.bifast` file that the engine runs. Nothing here is imported by `import bifast`.
"""
