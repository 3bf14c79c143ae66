"""The offline demo: a real small data set, planted faults, three small models, the whole loop."""
