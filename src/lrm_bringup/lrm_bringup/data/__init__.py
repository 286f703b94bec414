"""Training sets: recorded bags as a source of ``lrm data build``, and the page of ``lrm data report``."""
