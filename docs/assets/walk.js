// Step through a walk (prosegrad.stepping): the table has all the numbers, this
// moves a mark through it and through the picture above it.

class Walk {
  constructor(root) {
    this.root = root;
    this.rows = [...root.querySelectorAll("tbody tr")];
    this.boxes = new Map();
    for (const part of root.querySelectorAll("[data-id]")) {
      this.boxes.set(part.dataset.id, part);
    }
    this.grads = new Map();
    for (const [name, box] of this.boxes) {
      const texts = [...box.querySelectorAll("text")];
      const grad = texts.find((text) => text.textContent.startsWith("grad "));
      if (grad) this.grads.set(name, grad);
    }
    this.addBar();
    this.step = this.rows.length;
    for (const row of this.rows) {
      row.querySelector("a").addEventListener("click", (event) => {
        event.preventDefault();
        history.replaceState(null, "", `#${row.id}`);
        this.go(this.rows.indexOf(row) + 1);
      });
    }
    this.follow();
  }

  addBar() {
    const bar = document.createElement("div");
    bar.className = "pg-walk__bar";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Step through");
    const button = (name, where) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = name;
      made.addEventListener("click", () => this.go(where()));
      bar.append(made);
      return made;
    };
    this.first = button("Start", () => 0);
    this.back = button("Back", () => this.step - 1);
    this.next = button("Next", () => this.step + 1);
    this.last = button("End", () => this.rows.length);
    this.note = document.createElement("p");
    this.note.className = "pg-walk__note";
    this.note.setAttribute("role", "status");
    this.root.querySelector(".pg-walk__picture").after(bar, this.note);
    // Letters, and only inside the walk: arrows belong to the page.
    this.root.addEventListener("keydown", (event) => {
      const way = { n: 1, p: -1 }[event.key];
      if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
      event.stopPropagation(); // or the theme turns the page
      this.go(this.step + way);
    });
  }

  // The step that the address names, or the end, as the page is printed.
  follow() {
    const row = this.rows.findIndex((r) => `#${r.id}` === location.hash);
    this.go(row < 0 ? this.rows.length : row + 1, row < 0);
  }

  go(step, quiet = false) {
    this.step = Math.max(0, Math.min(step, this.rows.length));
    const done = this.rows.slice(0, this.step);
    const held = document.activeElement;
    this.mark(done, quiet ? undefined : done.at(-1));
    this.count(done);
    this.first.disabled = this.back.disabled = this.step === 0;
    this.last.disabled = this.next.disabled = this.step === this.rows.length;
    // A button that has just been switched off loses the focus, now or later.
    if (!quiet && held?.disabled && this.root.contains(held)) {
      (this.step ? this.back : this.next).focus();
    }
    this.note.textContent = quiet
      ? `All ${this.rows.length} steps are done. Start goes to the beginning.`
      : this.tell();
  }

  mark(done, row) {
    const now = row?.dataset ?? {};
    const marked = { "pg-now": [now.node, now.from], "pg-to": [now.to] };
    marked["pg-way"] = now.edges?.split(" ") ?? [];
    for (const [name, ids] of Object.entries(marked)) {
      for (const [id, box] of this.boxes) {
        box.classList.toggle(name, ids.includes(id));
      }
    }
    const made = done.map((row) => row.dataset.node);
    const forward = this.rows.map((row) => row.dataset.node).filter(Boolean);
    for (const id of forward) {
      this.boxes.get(id)?.classList.toggle("pg-later", !made.includes(id));
    }
    for (const each of this.rows) each.removeAttribute("aria-current");
    row?.setAttribute("aria-current", "step");
  }

  // The gradients as they stand after these steps.
  count(done) {
    const grads = new Map();
    const seeded = done.find((row) => row.dataset.from);
    for (const row of this.rows) {
      if (row.dataset.node) grads.set(row.dataset.node, row.dataset.grad);
    }
    if (seeded) grads.set(seeded.dataset.from, "1");
    for (const { dataset } of done) {
      if (dataset.to) grads.set(dataset.to, dataset.total);
    }
    for (const [id, text] of this.grads) {
      text.textContent = `grad ${grads.get(id)}`;
    }
  }

  tell() {
    const where = `Step ${this.step} of ${this.rows.length}`;
    const row = this.rows[this.step - 1];
    if (!row) return `${where}: nothing has been computed.`;
    const [what, code, arrives, local, adds, total] = [...row.cells]
      .slice(1)
      .map((cell) => cell.textContent);
    if (row.dataset.node) return `${where}, forward: ${what}, from ${code}`;
    const to = what.split(" → ")[1];
    return (
      `${where}, backward: ${what}. ${arrives} arrives, times ${local}` +
      ` adds ${adds}; the grad of ${to} is now ${total}. The rule: ${code}`
    );
  }
}

const walks = [];

// Make every walk below `place` one that can be stepped through.
function start(place) {
  for (const root of place.querySelectorAll(".pg-walk")) {
    walks.push(new Walk(root));
  }
}

start(document);
addEventListener("hashchange", () => walks.forEach((walk) => walk.follow()));
addEventListener("pg-walk", (event) => start(event.target));
