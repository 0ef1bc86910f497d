"""Pages on which people look at labels, and the one measure of a label against a reference."""
