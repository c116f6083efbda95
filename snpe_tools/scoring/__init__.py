"""Every runner computes the same examples; here their predictions are compared, tested and gated."""
