"""From a user's own files in their published formats to our row beside the paper's: `zoo reproduce`."""
