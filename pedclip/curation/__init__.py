"""From an archive of studies to triplets."""
