"""The question-answering task: SQuAD data, sliding-window features, answers from logits, EM and F1."""
