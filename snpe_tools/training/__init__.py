"""Training, whatever is learned: order, loop, state, hardware; a task's own folder says what is learned."""
