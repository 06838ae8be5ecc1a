"""Online feedback and realignment of language models, on models small enough for a laptop."""
