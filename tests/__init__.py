"""Tests of prosegrad and of its book."""
