"""Finding the cheapest mixed precision that keeps its predictions."""
