"""Describers: a raw payload becomes a few figures with units, one file a modality; the payload itself is not kept."""
