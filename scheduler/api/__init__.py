"""/api/v1 of the scheduler: `agent` is what node agents call, `members` what members call."""
