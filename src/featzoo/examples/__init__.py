"""Made data to try featzoo on: clips, voices and small corpora in their published formats. No person was recorded."""
