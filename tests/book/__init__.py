"""The machinery that keeps the book and the package one text.

A page is parsed once (`pages`); its published fences make `src/` (`mirror`);
its blocks run once and in order (`runner`); what they print, draw and tabulate
is written by one command (`writer`) and compared by every test run; `lint`
refuses what would be silently ignored, and `census` counts that nothing was.
"""
