// The search dialogue has no name of its own; give it one for screen readers.
document
  .querySelector("[data-md-component=search]")
  ?.setAttribute("aria-label", "Search");
