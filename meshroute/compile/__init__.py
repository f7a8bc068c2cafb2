"""Front-ends: manifests to tables, one for each dialect, with diagnostics."""
