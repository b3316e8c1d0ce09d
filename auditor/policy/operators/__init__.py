"""Operators of policy conditions, one file each: the range of figures that satisfies a condition."""
