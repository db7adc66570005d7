// node digests.mjs PYODIDE REPOSITORY SITE-PACKAGES SEEDS: tests/lite/digests.py in WebAssembly.
const [pyodide, repository, packages, seeds] = process.argv.slice(2);
const { loadPyodide } = await import(`file://${pyodide}/pyodide.mjs`);
const python = await loadPyodide({ stdout: (line) => console.log(line) });
for (const [from, to] of [[repository, "/repository"], [packages, "/packages"]]) {
  python.FS.mkdirTree(to);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: from }, to);
}
await python.runPythonAsync(`
import sys
sys.path[:0] = ["/repository", "/repository/widgets"]
sys.path.append("/packages")  # of pure Python: pytest, cloudpickle
import tests.lite.one_thread
from tests.lite.digests import main
main(${Number(seeds)})
`);
process.exit(0);
