"""output: lives written to files, their true risks, and lives drawn again."""
