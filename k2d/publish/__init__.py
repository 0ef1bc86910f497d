"""A student in, the forms that other programs load and its model card out."""
