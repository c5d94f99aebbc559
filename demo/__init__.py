"""The newcomer's story: a cooperative, three machines of strangers, one of which lies, and one real job."""
