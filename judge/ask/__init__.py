"""What commands that ask a judge share: targets, sessions, scores of replies, juries."""
