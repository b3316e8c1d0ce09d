"""Where summarising runs: plugins with one method, `map`."""
