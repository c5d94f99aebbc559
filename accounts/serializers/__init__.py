"""What members send and see of people, cooperatives and their rules, as strict messages."""
