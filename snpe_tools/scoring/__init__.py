"""Every runner computes the same examples; here the answers are compared, tested and gated."""
