import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  areKubernetesBinariesComplete,
  checkKubernetesBinaries,
  KUBERNETES_PROGRAMS,
  type KubernetesBinaries,
  locateKubernetesBinaries,
  provideKubernetesBinaries,
} from "./kubernetes-binaries.mjs";
import { buildWithGo } from "./kubernetes-build.mjs";
import { observePeer } from "./peer-state.mjs";
import { startProcess } from "./process.js";
import { isProcessAlive } from "./process-alive.js";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.js";
import { waitFor } from "./wait-for.js";

let folder: TemporaryFolder;
let binaries: KubernetesBinaries;
beforeEach(async () => {
  folder = await temporaryFolder("cache");
  binaries = locateKubernetesBinaries({ PUSHFLEET_CACHE: folder.path });
});
afterEach(() => folder.remove());

async function writeProgram(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o755);
}

/** Stands for Go: writes a program of each name. */
const build = async (bin: string): Promise<void> => {
  for (const name of KUBERNETES_PROGRAMS) await writeProgram(join(bin, name), `#!/bin/sh\necho ${name}\n`);
};

const collect = (): { readonly lines: string[]; readonly report: (line: string) => void } => {
  const lines: string[] = [];
  return { lines, report: (line) => lines.push(line) };
};

describe("the cache of Kubernetes' programs", () => {
  test("is ~/.cache/pushfleet unless PUSHFLEET_CACHE names another folder, and is keyed by version and pins", () => {
    expect(binaries.folder).toBe(join(folder.path, basename(binaries.folder)));
    expect(locateKubernetesBinaries({}).folder).toMatch(/\/\.cache\/pushfleet\/kubernetes-1\.34\.4-[0-9a-f]{12}$/);
  });

  test("is built once and used again without a word", async () => {
    const { lines, report } = collect();
    await expect(provideKubernetesBinaries(report, binaries, build)).resolves.toBe("built");
    expect(lines).toEqual([`kubernetes: building 1.34.4, once (${binaries.folder} is not complete)`]);
    await expect(provideKubernetesBinaries(report, binaries, build)).resolves.toBe("reused");
    expect(lines).toHaveLength(1);
    expect(existsSync(`${binaries.folder}.partial`)).toBe(false);
  });

  test("a damaged program is found by its digest and built again", async () => {
    await provideKubernetesBinaries(() => {}, binaries, build);
    await writeFile(join(binaries.folder, "bin", "etcd"), "other");
    await rm(join(binaries.folder, "bin", "kubectl"));
    const faults = ["kubectl is missing", "etcd has other contents"];
    await expect(checkKubernetesBinaries(binaries)).resolves.toEqual(faults);
    const { lines, report } = collect();
    await expect(provideKubernetesBinaries(report, binaries, build)).resolves.toBe("built");
    expect(lines).toEqual([`kubernetes: building 1.34.4, once (${faults.join(", ")})`]);
    await expect(checkKubernetesBinaries(binaries)).resolves.toEqual([]);
  });

  test("of two at once one builds and the other uses that", async () => {
    const provide = (): Promise<string> => provideKubernetesBinaries(() => {}, binaries, build);
    expect((await Promise.all([provide(), provide()])).sort()).toEqual(["built", "reused"]);
  });

  test("a build that fails, or makes too little, is not taken for a whole one", async () => {
    const failing = provideKubernetesBinaries(
      () => {},
      binaries,
      async () => Promise.reject(new Error("no network")),
    );
    await expect(failing).rejects.toThrow("no network");
    const partly = provideKubernetesBinaries(
      () => {},
      binaries,
      (bin) => writeProgram(join(bin, "etcd"), ""),
    );
    await expect(partly).rejects.toThrow("Go built no kube-apiserver, kube-controller-manager, kubectl");
    expect(areKubernetesBinariesComplete(binaries)).toBe(false);
  });

  test("a build that is interrupted leaves nothing that counts as made, and the next one is whole", async () => {
    const module = JSON.stringify(join(import.meta.dirname, "kubernetes-binaries.mjs"));
    const script = `const { locateKubernetesBinaries, provideKubernetesBinaries } = await import(${module});
      const { writeFileSync } = await import("node:fs");
      await provideKubernetesBinaries(() => {}, locateKubernetesBinaries(), (bin) => new Promise(() => {
        writeFileSync(bin + "/etcd", "half"); console.log("building"); setInterval(() => {}, 1000); }));`;
    const builder = await startProcess({
      name: "builder",
      command: process.execPath,
      args: ["--input-type=module", "-e", script],
      env: { PUSHFLEET_CACHE: folder.path },
      ready: (line) => line === "building",
    });
    builder.signal("SIGINT");
    await builder.exited;
    expect(existsSync(join(`${binaries.folder}.partial`, "bin", "etcd"))).toBe(true);
    expect(areKubernetesBinariesComplete(binaries)).toBe(false);
    await expect(provideKubernetesBinaries(() => {}, binaries, build)).resolves.toBe("built");
    await expect(checkKubernetesBinaries(binaries)).resolves.toEqual([]);
  });
});

describe("the peer kubernetes", () => {
  test("is what PUSHFLEET_TEST_KUBERNETES_BIN names, when all programs are there", async () => {
    const bin = join(folder.path, "bin");
    await mkdir(bin);
    const environment = { PATH: "/nonexistent", PUSHFLEET_TEST_KUBERNETES_BIN: bin };
    expect(observePeer("kubernetes", environment)).toMatchObject({
      kind: "missing",
      reason: `PUSHFLEET_TEST_KUBERNETES_BIN=${bin} has no ${KUBERNETES_PROGRAMS.join(", ")}`,
    });
    await build(bin);
    expect(observePeer("kubernetes", environment)).toMatchObject({ kind: "given", value: bin });
  });

  test("is missing without a build, and the reason says to install Go where there is none", () => {
    const state = observePeer("kubernetes", { PATH: "/nonexistent", PUSHFLEET_CACHE: "/nonexistent" });
    expect(state).toMatchObject({
      kind: "missing",
      reason: expect.stringMatching(
        /^no Kubernetes 1\.34\.4 in .*: install Go 1\.26 or later .*, then run node test\/peers\/provide\.mjs$/,
      ),
    });
  });
});

describe("a build with Go", () => {
  /** A `go` that answers `list` and `build` with these scripts. */
  async function withGo(list: string, build: string): Promise<NodeJS.ProcessEnv> {
    await writeProgram(join(folder.path, "go"), `#!/bin/sh\ncase $1 in list) ${list} ;; build) ${build} ;; esac\n`);
    return { PATH: `${folder.path}:${process.env["PATH"]}`, GOFLAGS: "-mod=mod" };
  }
  const wanted = (): Parameters<typeof buildWithGo>[0] => ({
    name: "kubernetes",
    moduleFolder: folder.path,
    packages: ["example.org/a"],
    ldflags: "-s",
    output: `${folder.path}/bin/`,
  });

  test("says when it is done, and runs Go in the module's folder with pinned modules and the flags given", async () => {
    const { lines, report } = collect();
    const environment = await withGo("echo example.org/a; echo example.org/b", `echo "$PWD $GOFLAGS $*" > arguments`);
    await buildWithGo(wanted(), report, environment);
    expect(lines).toEqual([expect.stringMatching(/^kubernetes: built in 0:0\d min$/)]);
    await expect(readFile(join(folder.path, "arguments"), "utf8")).resolves.toBe(
      `${folder.path} -mod=readonly build -v -trimpath -buildvcs=false -ldflags -s -o ${folder.path}/bin/ example.org/a\n`,
    );
  });

  test("says how far it is: modules fetched, then packages compiled", async () => {
    const { lines, report } = collect();
    const environment = await withGo(
      "echo 'go: downloading example.org/a v1.0.0' >&2; sleep 0.2; echo example.org/a; echo example.org/b",
      "echo example.org/a >&2; sleep 0.2",
    );
    await buildWithGo({ ...wanted(), progressIntervalMs: 50 }, report, environment);
    expect(lines).toContain("kubernetes: fetching modules (1 so far), 0:00 min");
    expect(lines).toContain("kubernetes: 1 of 2 packages compiled, 0:00 min");
  });

  test("an error has Go's own words", async () => {
    const environment = await withGo(`echo "go: example.org/a: dial tcp: lookup modules.example.org: no such host" >&2; exit 1`, "exit 0");
    await expect(buildWithGo(wanted(), () => {}, environment)).rejects.toThrow(
      "kubernetes: go list: exit code 1\ngo: example.org/a: dial tcp: lookup modules.example.org: no such host",
    );
  });

  test("Go is interrupted when the one that builds is killed", async () => {
    const environment = await withGo("echo $$ > pid; exec sleep 100", "exit 0");
    const script = `const { buildWithGo } = await import(${JSON.stringify(join(import.meta.dirname, "kubernetes-build.mjs"))});
      await buildWithGo(${JSON.stringify(wanted())}, () => {});`;
    const builder = await startProcess({
      name: "builder",
      command: process.execPath,
      args: ["--input-type=module", "-e", script],
      env: environment,
    });
    const pid = Number(await waitFor(() => readFile(join(folder.path, "pid"), "utf8"), { what: "Go's pid" }));
    builder.signal("SIGKILL");
    await waitFor(() => !isProcessAlive(pid), { what: "Go to end" });
  });
});
