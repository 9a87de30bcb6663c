"""The live part of the site: Python in the page, notebooks, the offline copy.

`vendor` fetches what a browser needs from npm and PyPI; the hosted site and
the browser tests are built with it. A reader who only has pip reads the same
pages without it.
"""
