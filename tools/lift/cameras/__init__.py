"""The formats that cameras come in, a module for each. All have

FORMAT: in words; recognises(content): whether this is it, by the keys of what is in the file;
cameras(content): {name: tools.lift.cameras.raw.RawCamera}.
"""
