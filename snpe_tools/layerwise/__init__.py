"""Two models tensor by tensor: what is matched, how far it is apart, which op lost it, and why."""
