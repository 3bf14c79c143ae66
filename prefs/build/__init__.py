"""`prefs build`: preference pairs."""
