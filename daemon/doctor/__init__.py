"""What could keep the daemon from its work, looked at from outside: each check says what to do."""
