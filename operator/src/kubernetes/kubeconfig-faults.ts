import { type Fault, isMapping } from "@pushfleet/protocol";
import { parse } from "yaml";

/** Why `text`, of the kubeconfig `file`, cannot be used. What it names (certificates, plugins) is not looked at: that may come and go. */
export function kubeconfigFaults(file: string, text: string): readonly Fault[] {
  const expected = whatIsMissing(text);
  return expected === undefined ? [] : [{ path: "kubeconfig", value: file, expected: `a kubeconfig ${expected}` }];
}

function whatIsMissing(text: string): string | undefined {
  const read = readYaml(text);
  if ("fault" in read) return `(it is no YAML: ${read.fault})`;
  const config = read.value;
  if (!isMapping(config)) return config === null || config === undefined ? "(it is empty)" : "(it is no mapping)";
  const current = config["current-context"];
  if (typeof current !== "string" || current === "") return "with a current-context";
  const context = named(config["contexts"], current)?.["context"];
  if (!isMapping(context)) return `with a context "${current}", its current-context`;
  const name = String(context["cluster"]);
  const cluster = named(config["clusters"], name)?.["cluster"];
  if (!isMapping(cluster)) return `with a cluster "${name}", that of its current-context`;
  if (!isServer(cluster["server"])) return `whose cluster "${name}" has a server with http:// or https://`;
  if (cluster["proxy-url"] !== undefined) return `whose cluster "${name}" has no proxy-url, which is not supported`;
  const user = named(config["users"], String(context["user"]))?.["user"];
  const isTokenInFile = isMapping(user) && user["tokenFile"] !== undefined && user["token"] === undefined;
  return isTokenInFile
    ? `whose user "${String(context["user"])}" has a token, a certificate or a plugin: a tokenFile is not read`
    : undefined;
}

function readYaml(text: string): { readonly value: unknown } | { readonly fault: string } {
  try {
    return { value: parse(text) };
  } catch (cause) {
    return { fault: (cause as Error).message.split("\n")[0] ?? "" };
  }
}

function named(list: unknown, name: string): Readonly<Record<string, unknown>> | undefined {
  const found: unknown = Array.isArray(list) ? list.find((one: unknown) => isMapping(one) && one["name"] === name) : undefined;
  return isMapping(found) ? found : undefined;
}

function isServer(server: unknown): boolean {
  return typeof server === "string" && URL.canParse(server) && ["http:", "https:"].includes(new URL(server).protocol);
}
