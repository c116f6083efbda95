"""Public architectures whose latency is published, built here with random weights: features need shapes, not training.

A builder returns the network and example inputs; its key is "model/component" as the published table has them.
torchvision and timm come from `packages.py`'s folder outside the repository.
"""
