"""Fenchel-Young and Fitzpatrick losses, f-divergences, and projection oracles: three papers."""
