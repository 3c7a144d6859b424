"""Training data: the conversation record, and converters from the formats in which public sets are published."""
