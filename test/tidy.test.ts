// biome-ignore-all lint/suspicious/noTemplateCurlyInString: samples of source text
import { describe, expect, test } from "vitest";
import { readSource } from "./support/source-text.js";
import { type LongFiles, lineLengthMax, sourceLinesMax, tidyFaults, treeFiles } from "./support/tidy.js";

/** A ratchet: a file stands here with its size of the day, which may only shrink. Nothing is added: a new file is split instead. */
const longFiles: LongFiles = {};

test("the tree keeps the house rules", () => {
  expect(tidyFaults(treeFiles(new URL("..", import.meta.url).pathname), longFiles)).toEqual([]);
});

describe("the house rules", () => {
  /** Faults of one file in a tree that is otherwise fine. */
  const faultsOf = (path: string, text: string, long: LongFiles = {}): readonly string[] => {
    const folder = path.includes("/") ? [{ path: `${path.split("/")[0]}/README.md`, text: "" }] : [];
    return tidyFaults([...folder, { path, text }], long);
  };
  const word = (...parts: readonly string[]): string => parts.join("");

  test.each([
    ["operator/src/core/plan.ts", "const now = Date.now();", "take `nowMs`"],
    ["operator/src/core/plan.ts", "const now = new Date().getTime();", "take `nowMs`"],
    ["gateway/src/core/wheel/slot.ts", "const now = performance.now();", "take `nowMs`"],
    ["router/src/core/batch.ts", "const spread = Math.random() * 2;", "take a `random"],
    ["router/src/core/batch.ts", "setTimeout(run, 5);", "let the shell wait"],
    ["router/src/core/batch.ts", "globalThis.setInterval(run, 5);", "let the shell wait"],
    ["router/src/core/batch.ts", "const label = `${Date.now()}`;", "take `nowMs`"],
    ["protocol/src/cursor.ts", "const now = Date.now();", "take `nowMs`"],
    ["gateway/src/core/read.ts", 'import { readFileSync } from "node:fs";', "core does no I/O"],
    ["gateway/src/core/read.ts", 'const fs = await import("node:fs");', "core does no I/O"],
    ["service/src/log.ts", "function f(value: any): void {}", "use `unknown`"],
    ["service/src/log.ts", "const a = value as any;", "use `unknown`"],
    ["service/src/log.ts", "const m = new Map<string, any>();", "use `unknown`"],
    ["service/src/log.ts", "let list: Array<any> = [];", "use `unknown`"],
    ["service/src/log.ts", "type F = () => any;", "use `unknown`"],
    ["service/src/log.ts", "export const enum State { Open }", "union of string literals"],
    ["service/src/log.ts", "enum State { Open }", "union of string literals"],
    ["service/src/log-utils.ts", "", "name the file after"],
    ["service/src/ConnectionManager.ts".toLowerCase().replace("connectionmanager", "connection-manager"), "", "name the file after"],
    ["test/support/helpers.ts", "", "name the file after"],
    ["docs/common.md", "", "name the file after"],
    ["registry/src/memory.ts", 'import { a } from "@pushfleet/gateway";', "registry may import protocol, service"],
    ["operator/src/local/world.ts", 'import { a } from "@pushfleet/gateway";', "operator may import protocol, service"],
    ["operator/src/local/world.ts", 'import type { A } from "@pushfleet/router";', "operator may import protocol, service"],
    ["gateway/src/shell/a.ts", 'export * from "@pushfleet/router/src/x.js";', "gateway may import"],
    ["gateway/src/shell/a.ts", 'import {\n  a,\n  b,\n} from "../../../router/src/x.js";', "it leaves gateway/"],
    ["gateway/src/shell/a.ts", 'import { a } from "@pushfleet/gateway";', "by a relative path"],
    ["gateway/src/shell/a.ts", 'import { peer } from "../../../test/peers/peer.js";', "it leaves gateway/"],
    ["gateway/src/shell/a.test.ts", 'import { a } from "../../../router/src/a.js";', "it leaves gateway/"],
    ["client/src/session.ts", 'import { limits } from "@pushfleet/protocol";', "`import type` only"],
    ["protocol/src/ids.ts", 'import { z } from "zod";', "protocol imports nothing"],
    ["protocol/src/ids.ts", 'import "node:crypto";', "protocol imports nothing"],
    ["protocol/src/ids.ts", 'import { a } from "@pushfleet/service";', "protocol may import no package"],
    ["gateway/src/a.test.ts", 'test.only("x", f);', "hides the other tests"],
    ["gateway/src/a.test.ts", 'describe.skip("x", f);', "hides a test"],
    ["test/integration/a.test.ts", "test.only.each`x`;", "hides the other tests"],
    ["test/a.test.ts", "context.skip(reason);", "hides a test"],
    ["cli/package.json", '{"dependencies":{"yaml":"^2.9.1"}}', "exact version"],
    ["package.json", '{"devDependencies":{"yaml":"~2.9.1"}}', "exact version"],
    ["cli/package.json", '{"optionalDependencies":{"@pushfleet/protocol":"*"}}', "exact version"],
    ["gateway/package.json", '{"dependencies":{"uWebSockets.js":"npm:uwebsockets@^3.0.6"}}', "exact version"],
    ["gateway/package.json", '{"dependencies":{"uWebSockets.js":"github:uNetworking/uWebSockets.js#v20.56.0"}}', "exact version"],
    ["service/src/log.ts", `// ${word("TO", "DO")}: later`, "open an issue"],
    ["docs/guide.md", `${word("FIX", "ME")}`, "open an issue"],
    ["service/src/log.ts", `const long = "${"x".repeat(lineLengthMax)}";`, "break the line"],
    ["crds/a.yaml", `a: ${"x".repeat(lineLengthMax)}`, "break the line"],
    ["service/src/log.ts", "a\n".repeat(sourceLinesMax + 1), "split it"],
  ])("%s with %j is a fault", (path, text, expected) => {
    const [fault, ...others] = faultsOf(path, text);
    expect(others).toEqual([]);
    expect(fault).toContain(expected);
  });

  test.each([
    ["operator/src/core/plan.ts", "// Date.now() is not for core\nconst text = 'setTimeout';\nconst again = `Math.random ${value}`;"],
    ["operator/src/core/plan.ts", "const at = new Date(nowMs); const p = /Date.now/.test(line);"],
    ["operator/src/core/plan.test.ts", "const now = Date.now();"],
    ["operator/src/core/plan.ts", 'import { limits } from "@pushfleet/protocol";'],
    ["gateway/src/shell/clock.ts", 'import { a } from "node:fs";\nconst now = Date.now();'],
    ["service/src/log.ts", "const any = 1; f({ any: 2 }, x.any); // as any"],
    ["service/src/log.ts", 'const text = "const enum X"; await Promise.any([]);'],
    ["client/src/session.ts", 'import type { Frame } from "@pushfleet/protocol";\nimport { next } from "./schedule.js";'],
    ["registry/src/redis.test.ts", 'import { peer } from "../../test/peers/peer.js";'],
    ["protocol/src/ids.test.ts", 'import { test } from "vitest";\nimport { parseId } from "./ids.js";'],
    ["cli/src/local.ts", 'import { a } from "@pushfleet/operator";\nimport { b } from "@pushfleet/gateway";'],
    ["gateway/src/a.test.ts", 'test("`.only(` in a name", f); test.skipIf(peer)("y", f); // .skip('],
    ["registry/src/a.test.ts", "clock.skip(1001); only(1);"],
    ["test/peers/peer.ts", "context.skip(reason);"],
    ["test/peers/peer.test.ts", "context.skip(reason);"],
    ["gateway/package.json", '{"dependencies":{"uWebSockets.js":"npm:uwebsockets@3.0.6","a":"1.0.0-rc.1"},"peerDependencies":{"b":"^1"}}'],
    ["service/src/log.ts", `// https://example.com/${"x".repeat(lineLengthMax)}`],
    ["docs/guide.md", "x".repeat(1000)],
    ["service/src/uncommon.ts", "a\n".repeat(sourceLinesMax)],
  ])("%s with %j is none", (path, text) => {
    expect(faultsOf(path, text)).toEqual([]);
  });

  test("a folder without a README is a fault, one with a dot is not", () => {
    const faults = tidyFaults(
      [
        { path: "bench/run.mjs", text: "" },
        { path: ".ci/run", text: "" },
      ],
      {},
    );
    expect(faults).toEqual([expect.stringContaining("bench/README.md:1: missing")]);
  });

  test("a long file may shrink and not grow, and leaves the table when it is short or gone", () => {
    const path = "service/src/log.js";
    const lines = (count: number): string => "a\n".repeat(count);
    expect(faultsOf(path, lines(450), { [path]: 450 })).toEqual([]);
    expect(faultsOf(path, lines(451), { [path]: 450 })).toEqual([expect.stringContaining("at most 450")]);
    expect(faultsOf(path, lines(440), { [path]: 450 })).toEqual([expect.stringContaining("instead of 450")]);
    expect(faultsOf(path, lines(400), { [path]: 450 })).toEqual([expect.stringContaining("remove it from longFiles")]);
    expect(faultsOf("service/src/other.ts", "", { [path]: 450 })).toEqual([expect.stringContaining("gone")]);
  });

  test("a fault names the line", () => {
    expect(faultsOf("router/src/core/a.ts", "/* one\ntwo */\n\nconst x = 1;\nDate.now();\n")[0]).toMatch(/^router\/src\/core\/a\.ts:5: /);
    expect(faultsOf("router/src/a.ts", "const x = 1;\n\n  enum A { B }\n")[0]).toMatch(/^router\/src\/a\.ts:3: /);
  });
});

describe("reading a source file", () => {
  test.each([
    ["a // b\nc", "a     \nc", "a     \nc"],
    ["a /* b\nc */ d", "a     \n     d", "a     \n     d"],
    ['f("// no", \'a"b\')', 'f("// no", \'a"b\')', "f(\"     \", '   ')"],
    ["`a ${b + `c ${d}`} e`", "`a ${b + `c ${d}`} e`", "`  ${b + `  ${d}`}  `"],
    ["`a ${{ b: 1 }.b} //`", "`a ${{ b: 1 }.b} //`", "`  ${{ b: 1 }.b}   `"],
    ['x = /[/"]/.test(y) // z', 'x = /[/"]/.test(y)     ', "x = /    /.test(y)     "],
    ["a / b / c; 'd'", "a / b / c; 'd'", "a / b / c; ' '"],
    ["'it\\'s' + b", "'it\\'s' + b", "'     ' + b"],
    ["'😀' + \"x\"", "'😀' + \"x\"", "'  ' + \" \""],
    ["/* never closed", "               ", "               "],
    ["`never closed", "`never closed", "`            "],
  ])("%j", (text, withoutComments, codeOnly) => {
    expect(readSource(text)).toEqual({ withoutComments, codeOnly });
  });
});
