"""A project folder: recipes, where its files are, and the provenance of each artefact."""
