"""Zero-shot tasks, metrics with intervals over patients, and the shortcut baseline they must beat."""
