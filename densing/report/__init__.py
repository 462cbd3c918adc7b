"""Everything an author or an analyst puts in front of others, from the artifacts, reproducibly."""
