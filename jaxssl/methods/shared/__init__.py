"""What several methods are made of: networks with heads, targets, queues, pairs and crops."""
