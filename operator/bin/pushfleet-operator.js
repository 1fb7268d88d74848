#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=32768 node --max-semi-space-size=8 --heap-growing-percent=20
// The compiled program is in dist/: this file is committed so that npm links it before anything is built.
const main = await import("../dist/kubernetes/main.js").catch((cause) => {
  if (cause?.code !== "ERR_MODULE_NOT_FOUND" || !String(cause.message).includes("dist/kubernetes/main.js")) throw cause;
  process.stderr.write("pushfleet-operator is not built yet: run make build\n");
  process.exit(1);
});
process.exit(await main.main(process.argv.slice(2)));
