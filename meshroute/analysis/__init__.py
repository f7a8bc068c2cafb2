"""Questions about a mesh or a table. They ask the engine as a user does."""
