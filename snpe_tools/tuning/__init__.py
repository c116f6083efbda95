"""Finding the cheapest mixed precision that still answers."""
