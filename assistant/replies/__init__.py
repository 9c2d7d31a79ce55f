"""How one reply comes to be, is kept while it grows, ends, and gives its session a title."""
