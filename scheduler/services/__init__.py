"""The scheduler's acts, by noun: `requests` (what is refused at once), `jobs` (submit to finish), `claims` and
`results` (a task out and back), `verdicts` (verify and settle), `capacity` (orders and leases)."""
