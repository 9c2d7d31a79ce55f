"""Full-text search: the query language, and candidates from each database."""
