"""Training question-answering models: data, windows with labels, losses, and the score at the end."""
