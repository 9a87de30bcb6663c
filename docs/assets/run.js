// Run and edit the blocks of a page. The blocks share one namespace, in order,
// as the tests of the book run them: whatever stands above a block and has not
// run yet runs first. Python is loaded on the first click and not before.

const BASE = new URL(
  document.querySelector("meta[name=pg-live]").content,
  document.baseURI,
).href;
const WORKER = new URL("run-worker.js", import.meta.url);
// What pages import and no browser has: such a block says so, and is not run.
const ABSENT =
  /^\s*(?:import|from)\s+(numpy|matplotlib|sklearn|autograd|torch|jax|tests|hypothesis|micrograd|threading|subprocess)\b/m;
// Names at the left edge of a block: what it makes for the blocks below.
const BOUND =
  /^(?:(?:def|class)\s+(\w+)|(?:from\s+\S+\s+)?import\s+(?:\(([^)]*)\)|([\w ,]+))|((?:\w+,\s*)*\w+)\s*=(?!=))/gm;
// Names that a block makes for itself, at any depth.
const LOCAL =
  /(?:\bdef\s+\w+\(|\blambda\s+|\bfor\s+|^\s*)((?:\w+,\s*)*\w+)\s*(?:[,:)]|\bin\b|=(?!=))/gm;
// What a block needs beside our package, by the names in it. What it takes to
// draw DOT text comes by itself.
const NEEDS = {
  graphviz: /\b(render_svg|step_through)\b/,
  mpmath: /\bmpmath\b/,
  tqdm: /\btqdm\b/,
};

let worker = null; // the thread, once started
let answer = null; // settles when the thread has done what it was asked
let running = null; // the block that was clicked, while it or one above it runs

const present = new Set(); // names that the blocks above can make here
const missing = new Map(); // names that they cannot, and what that would need

// Return what a block needs that the browser has not, itself or by the names
// that a block above it would have made.
function lacking(code) {
  const names = (matches) =>
    [...matches].flatMap(([, ...found]) =>
      (found.find(Boolean) ?? "").split(",").map((n) => n.trim().split(/\s+as\s+/).at(-1)),
    );
  const own = new Set(names(code.matchAll(LOCAL)));
  const uses = ([name]) =>
    !own.has(name) && new RegExp(`\\b${name}\\b`).test(code);
  const found = ABSENT.exec(code)?.[1] ?? [...missing].find(uses)?.[1];
  for (const name of names(code.matchAll(BOUND))) {
    if (name.length < 2) continue; // too often a letter in another word
    if (!found) present.add(name);
    else if (!present.has(name)) missing.set(name, found);
    if (!found) missing.delete(name);
  }
  return found;
}

class Block {
  constructor(box, number) {
    this.box = box;
    this.code = box.querySelector("pre > code");
    this.printed = this.code.textContent.replace(/\n$/, "");
    this.number = number;
    const is = (name) => box.classList.contains(name);
    this.role = ["exercise", "check", "solution"].find(is) ?? "";
    this.raises = box.dataset.raises ?? "";
    box.id ||= `block-${number}`;
    this.expected = expected(box);
    this.absent = lacking(this.printed);
    this.ran = false;
    this.addBar();
  }

  get source() {
    return this.editor?.state.doc.toString() ?? this.printed;
  }

  get edited() {
    return this.source !== this.printed;
  }

  // Whether it may leave something else than the page shows.
  get differs() {
    return blocks.slice(0, this.number).some((block) => block.edited);
  }

  addBar() {
    this.bar = document.createElement("div");
    this.bar.className = "pg-run";
    this.bar.setAttribute("role", "group");
    this.bar.setAttribute("aria-label", `Block ${this.number}`);
    if (this.absent) {
      this.state = this.note(this.bar);
      this.say(`Needs ${this.absent}, which the browser has not: run it on your machine.`);
    } else {
      const run = this.role === "check" ? "Check" : "Run";
      this.go = this.button(run, () =>
        running === this ? stop() : this.start([...this.pending(), this]),
      );
      this.change = this.button("Edit", () => this.edit());
      this.all = this.button("Run all above", () => this.start(this.above()));
      this.back = this.button("Reset", () => this.reset());
      this.back.hidden = true;
      if (this.number === 1) this.all.hidden = true;
      this.state = this.note(this.bar);
    }
    this.box.append(this.bar);
  }

  button(name, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", action);
    this.bar.append(button);
    return button;
  }

  note(parent) {
    const note = document.createElement("span");
    note.className = "pg-run__state";
    note.setAttribute("role", "status");
    parent.append(note);
    return note;
  }

  say(text, kind = "") {
    this.state.textContent = text;
    this.state.dataset.kind = kind;
  }

  blame(block) {
    const link = document.createElement("a");
    link.href = `#${block.box.id}`;
    link.textContent = `block ${block.number}`;
    this.say("", "wrong");
    this.state.append("Not run: ", link, " above failed.");
  }

  // What can run before this block, in order. A test is no part of the page's
  // story, and a solution is not needed by a reader who found another.
  above() {
    return blocks
      .slice(0, this.number - 1)
      .filter((block) => !block.absent && !block.broke)
      .filter((block) => block.role !== "check")
      .filter((block) => !(block.role === "solution" && block.solved));
  }

  // What has not run yet. A test looks at its exercise as it now stands, even
  // if the solution has run since.
  pending() {
    const above = this.above();
    const own =
      this.role === "check" &&
      above.findLast((block) => block.role === "exercise");
    return above.filter((block) => !block.ran || block === own);
  }

  async start(list) {
    if (running) return running.say("Still running; Stop ends it.");
    running = this;
    const label = this.go.textContent;
    this.go.textContent = "Stop";
    document.documentElement.classList.add("pg-busy");
    try {
      await ready(this);
      for (const block of list) {
        if (block !== this) this.say(`Running block ${block.number} …`);
        const fine = await block.run();
        if (!fine && block !== this) {
          this.blame(block);
          break;
        }
        if (block === list.at(-1) && block !== this) {
          this.say(`${list.length} blocks above have run.`, "right");
        }
      }
      if (!list.length) this.say("Nothing stands above.");
    } catch (why) {
      this.say(why.message, "wrong");
    } finally {
      running = null;
      this.go.textContent = label;
      document.documentElement.classList.remove("pg-busy");
    }
  }

  async run() {
    this.say("Running …");
    this.clear();
    this.heard = "";
    const { source, number, role, raises } = this;
    const needs = Object.keys(NEEDS).filter((name) => NEEDS[name].test(source));
    const { error, figure } = await this.ask({
      needs,
      source,
      number,
      role,
      raises,
      draws: this.differs,
    });
    this.ran = true;
    if (figure) this.draw(figure);
    if (error) this.write(error);
    if (this.role === "check") {
      const empty = error.endsWith("NotImplementedError");
      const why = empty ? "The exercise above is still empty." : "Not yet.";
      this.say(error ? why : "Right.", error ? "wrong" : "right");
      if (empty) this.clear();
      if (!error) this.mark();
    } else if (error) this.say("Raised an exception.", "wrong");
    else this.compare();
    return !error;
  }

  // A block that ends the whole of Python is not run again for a later one.
  async ask(what) {
    try {
      return await ask({ do: "run", ...what }, this);
    } catch (why) {
      this.broke = why.cause === "broken";
      this.say(why.message, "wrong");
      throw why;
    }
  }

  // The exercise of this test is solved: its solution is no longer needed.
  mark() {
    const next = blocks.slice(this.number).find((b) => b.role === "solution");
    if (next) next.solved = true;
  }

  compare() {
    const same = normal(this.heard) === normal(this.expected ?? "");
    if (same && this.expected !== null) {
      this.clear({ keepFigure: true });
      this.say("Printed the same as the page.", "right");
    } else if (same) this.say("Done; it prints nothing.", "right");
    else if (this.differs) this.say("Done. The page prints something else.");
    else this.say("Not what the page prints. Memory and time differ here.");
  }

  show() {
    if (!this.out) {
      this.out = document.createElement("div");
      this.out.className = "pg-run__out";
      this.out.append(document.createElement("pre"));
      this.out.setAttribute("aria-label", `What block ${this.number} left`);
      this.out.setAttribute("role", "region");
      this.box.append(this.out);
    }
    return this.out;
  }

  draw(figure) {
    const place = document.createElement("div");
    place.className = "pg-figure";
    place.innerHTML = figure;
    this.show().append(place);
    place.dispatchEvent(new Event("pg-walk", { bubbles: true }));
  }

  write(text) {
    const pre = this.show().firstChild;
    pre.append(text);
    pre.tabIndex = pre.scrollHeight > pre.clientHeight ? 0 : -1;
  }

  hear(text) {
    this.heard += text;
    this.write(text);
  }

  clear({ keepFigure = false } = {}) {
    const figure = keepFigure && this.out?.querySelector(".pg-figure");
    if (figure) this.out.firstChild.textContent = "";
    else {
      this.out?.remove();
      this.out = null;
    }
  }

  async edit() {
    if (this.editor) return this.editor.focus();
    this.say("Opening the editor …");
    let edit;
    try {
      ({ edit } = await import(BASE + "editor.js"));
    } catch {
      return this.say("The editor could not be loaded.", "wrong");
    }
    if (this.editor) return; // a second click came while it was loading
    const pre = this.code.parentElement;
    const place = document.createElement("div");
    place.className = "pg-edit";
    place.style.minHeight = `${pre.offsetHeight}px`;
    pre.after(place);
    pre.hidden = true;
    this.editor = edit(place, this.printed, `Block ${this.number}, editable`, {
      run: () => running || this.start([...this.pending(), this]),
      leave: () => this.go.focus(),
      change: () => this.touch(),
    });
    this.say("Ctrl+Enter runs, Escape leaves.");
    this.editor.focus();
  }

  touch() {
    this.forget();
    this.broke = false;
    this.back.hidden = false;
  }

  // Another text: what ran below had only seen the old one.
  forget() {
    for (const block of blocks.slice(this.number - 1)) block.ran = false;
  }

  reset() {
    this.editor?.destroy();
    this.editor = null;
    this.box.querySelector(".pg-edit")?.remove();
    this.code.parentElement.hidden = false;
    this.back.hidden = true;
    this.forget();
    this.clear();
    this.say("As printed again.");
    this.go.focus();
  }
}

// The text of the Output fence that follows a block, or null.
function expected(box) {
  const next = box.nextElementSibling;
  const title = next?.querySelector(":scope > .filename")?.textContent;
  return title === "Output" ? next.querySelector("code").textContent : null;
}

function normal(text) {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

// The thread, ready to run: load it, if this is the first click.
function ready(block) {
  if (worker) return;
  worker = new Worker(WORKER, { type: "module" });
  block.say("Loading Python …");
  worker.onerror = () => fail("Python could not be started here.");
  return ask({ do: "start", base: BASE }, block);
}

function ask(message, block) {
  worker.onmessage = ({ data }) => {
    if (data.is === "loading") block.say(progress(data));
    else if (data.is === "print") block.hear(data.text);
    else if (data.is === "broken") fail(broken(data.message), "broken");
    else answer.resolve(data);
  };
  return new Promise((resolve, reject) => {
    answer = { resolve, reject };
    worker.postMessage(message);
  });
}

function progress({ loaded, total }) {
  const mega = (bytes) => (bytes / 1e6).toFixed(1);
  if (loaded >= total) return "Starting Python …";
  return `Loading Python, once: ${mega(loaded)} of ${mega(total)} MB`;
}

function broken(message) {
  const deep = /call stack/.test(message);
  const why = deep ? "the browser's stack is too small for this" : message;
  return `Python ended: ${why}. On your machine it may run. All names are gone.`;
}

function fail(message, cause) {
  end();
  answer.reject(new Error(message, { cause }));
}

// End the thread, whatever it does; all names are gone with it.
function end() {
  worker?.terminate();
  worker = null;
  for (const block of blocks) block.ran = false;
}

function stop() {
  fail("Stopped. All names are gone; Run begins again.");
}

const boxes = document.querySelectorAll(
  ".highlight.language-python:not(.doc-signature)",
);
const blocks = [];
for (const box of boxes) blocks.push(new Block(box, blocks.length + 1));
