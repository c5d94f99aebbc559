"""The scheduler's acts, by noun: `jobs` (submit to finish), `work` (claim to result), `verdicts`
(verify and settle), `capacity` (orders and leases)."""
