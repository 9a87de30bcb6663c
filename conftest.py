"""Load the book's runner, also when a single page is selected."""

pytest_plugins = ["tests.book.plugin"]
