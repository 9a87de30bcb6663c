// The editor of a block: CodeMirror, with what Python needs and no more.
// Tab is left to the browser, so that the keyboard always gets out.

import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import {
  bracketMatching,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { Prec } from "@codemirror/state";
import { EditorView, drawSelection, keymap } from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";

// Put an editor into `parent` and return it; `on` has run, leave and change.
export function edit(parent, text, label, on) {
  const call = (name) => () => (on[name](), true);
  return new EditorView({
    doc: text,
    parent,
    extensions: [
      Prec.highest(
        keymap.of([
          { key: "Mod-Enter", run: call("run") },
          { key: "Shift-Enter", run: call("run") },
        ]),
      ),
      history(),
      drawSelection(),
      indentUnit.of("    "),
      indentOnInput(),
      bracketMatching(),
      closeBrackets(),
      python(),
      syntaxHighlighting(classHighlighter),
      keymap.of([
        ...closeBracketsKeymap,
        ...defaultKeymap,
        ...historyKeymap,
        { key: "Escape", run: call("leave") },
      ]),
      EditorView.contentAttributes.of({ "aria-label": label }),
      EditorView.updateListener.of((now) => now.docChanged && on.change()),
    ],
  });
}
