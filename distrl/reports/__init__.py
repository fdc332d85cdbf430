"""bsuite's scores of a sweep, and reports that compare them with published ones."""
