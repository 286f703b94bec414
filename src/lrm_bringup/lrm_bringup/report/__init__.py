"""From the journal of a run to its summary and its picture book. Everything here is a pure function of the run folder."""
