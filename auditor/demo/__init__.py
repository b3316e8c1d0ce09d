"""The whole job on a real multimodal model: a late-fusion digit reader, replayed with planted incidents of known truth."""
