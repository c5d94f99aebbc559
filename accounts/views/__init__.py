"""Pages of people and cooperatives: parse, one service call, present."""
