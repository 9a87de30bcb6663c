"""How we know that every gradient is right: the long measurements.

`python -m tests.trust` says what can be measured; the tests here run a
small part of each measurement, and all of it in the long profile.
"""
