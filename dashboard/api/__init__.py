"""/api/v1 of what the pages put together from several apps: the wallet and the market."""
