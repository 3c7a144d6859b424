"""The trace of an answer: kept, listed, shown, replayed and exported."""
