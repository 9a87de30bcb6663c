// Small repairs, most for readers with a screen reader or only a keyboard.
// Without this script every page reads and works the same by mouse.

// The search dialogue has no name of its own.
document
  .querySelector("[data-md-component=search]")
  ?.setAttribute("aria-label", "Search");

// The theme puts each copy button into a nameless navigation landmark.
const tidy = () => {
  for (const nav of document.querySelectorAll("nav.md-code__nav")) {
    nav.setAttribute("role", "none");
  }
};
new MutationObserver(tidy).observe(document.body, {
  childList: true,
  subtree: true,
});
tidy();

// What scrolls sideways must be reachable by the Tab key.
const boxes =
  ".pg-figure > div, .pg-walk__picture, .pg-walk__steps, .md-typeset__scrollwrap," +
  ".md-typeset__table," +
  "math[display=block]";
const reach = () => {
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", reach);
addEventListener("resize", reach);

// A line may break between a formula and the full stop after it: glue them.
for (const formula of document.querySelectorAll("math[display=inline]")) {
  const next = formula.nextSibling;
  if (next?.nodeType === Node.TEXT_NODE && /^[.,;:?!)]/.test(next.data)) {
    const glue = document.createElement("span");
    glue.style.whiteSpace = "nowrap";
    formula.before(glue);
    next.splitText(1);
    glue.append(formula, next);
  }
}
