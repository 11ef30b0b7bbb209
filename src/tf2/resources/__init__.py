"""What an overlay takes of a part: a model fitted to real synthesis runs."""
