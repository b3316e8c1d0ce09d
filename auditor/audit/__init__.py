"""The verbs of an audit, and the pipeline that calls them in order."""
