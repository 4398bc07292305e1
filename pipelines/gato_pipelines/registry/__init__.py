"""Sources by their names, those of a user as well."""
