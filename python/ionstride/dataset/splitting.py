def split_set(*a, **k): pass
