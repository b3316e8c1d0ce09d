"""Encoders that a deployment names for inputs whose model yields no embedding; one file each, one library each."""
