"""The model, in every published form, and how it decodes: features, search, engines, long form and short form."""
