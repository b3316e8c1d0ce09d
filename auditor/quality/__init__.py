"""How good the answers were, once ground truth has arrived."""
