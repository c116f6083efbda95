"""The arrows of the flow, a module each: one function, one command, one artefact on disk."""
