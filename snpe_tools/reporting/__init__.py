"""One HTML page of what `score` found."""
