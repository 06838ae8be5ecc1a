"""What the documentation generates from code: figures, tables, lists of names."""
