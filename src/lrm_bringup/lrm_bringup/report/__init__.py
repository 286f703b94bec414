"""From the journal of a run to its summary and its page: pure functions of the run folder."""
