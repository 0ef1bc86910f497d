"""Pseudo-labels: chunks, the distance between teacher and validator, selection and its reports."""
