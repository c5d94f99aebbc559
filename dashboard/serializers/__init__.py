"""What members send and see, as strict messages. Amounts are micro-credits."""
