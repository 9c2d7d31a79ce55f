"""One widget per file: messages go up as facts in the past tense, data goes down."""
