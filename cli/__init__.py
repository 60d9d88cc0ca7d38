"""The `maskformer` command: one small file per verb."""
