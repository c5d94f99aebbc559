"""/api/v1 of people, cooperatives and their rules, for members and their programs."""
