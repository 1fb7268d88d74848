import { type Given, type ManifestRows, rowMaker } from "./manifest-rows.js";

const emptyManifest = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "demo" }, spec: {} };

/** Rows over a manifest whose spec is empty: beside what a row says, the defaults stand. */
export const { bad, good } = rowMaker(emptyManifest);

/** A manifest that breaks the CEL rule of `at`, seen at `path` with `message`, a part of the rule's message. */
export function rule(at: string, path: string, message: string, values: Given): ManifestRows {
  const [[first, value] = ["", undefined], ...others] = Object.entries(values);
  return bad(first, value, { keyword: "rule", bound: message, server: message, at, serverPath: path }, Object.fromEntries(others));
}
