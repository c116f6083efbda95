"""Training question-answering models: data, windows with labels, the loop, and the score at the end."""
