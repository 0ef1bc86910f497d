"""Text in, units, phonemes and flags out: what every distance and every score is computed on."""
