"""Outside bytes -> durable segments -> archive, index and store. Everything that enters a home comes through here."""
