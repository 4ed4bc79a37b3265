"""Published heads, each with its options and losses."""
