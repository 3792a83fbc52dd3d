"""The formats that 2D landmarks come in, a module for each. All have

FORMAT: in words; recognises(content): whether this is it, by what is in it; collect(content):
its tools.lift.people.People.
"""
