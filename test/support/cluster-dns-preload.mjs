// @ts-check
// For node processes that play pods: `--import` of this file makes names under .svc and .svc.cluster.local be asked of the test cluster's
// name server (PUSHFLEET_TEST_CLUSTER_DNS, host:port). All other names go where they went.
import dns from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import { callbackify, promisify } from "node:util";

const server = process.env["PUSHFLEET_TEST_CLUSTER_DNS"];
if (server !== undefined) install(server);

/** @param {string} address */
function install(address) {
  const resolver = new dns.promises.Resolver({ timeout: 1_000, tries: 3 });
  resolver.setServers([address]);
  const ask = dns.promises.Resolver.prototype.resolve4.bind(resolver);

  /** @param {unknown} name */
  const isCluster = (name) => typeof name === "string" && /\.svc(\.cluster\.local)?\.?$/i.test(name);

  /** As `dns.promises.lookup` answers, and as it fails.
   * @param {string} name
   * @param {unknown} options */
  const lookup = async (name, options) => {
    const { all, family } =
      typeof options === "object" && options !== null ? /** @type {any} */ (options) : { all: false, family: options };
    const addresses = family === 6 || family === "IPv6" ? [] : await ask(name).catch(() => []);
    const [first] = addresses;
    if (first === undefined) {
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), {
        code: "ENOTFOUND",
        errno: -3008,
        syscall: "getaddrinfo",
        hostname: name,
      });
    }
    return all ? addresses.map((one) => ({ address: one, family: 4 })) : { address: first, family: 4 };
  };

  const former = { lookup: dns.lookup, promised: dns.promises.lookup };

  /** @type {any} */ (dns).lookup = (/** @type {string} */ name, /** @type {unknown} */ ...rest) => {
    if (!isCluster(name)) return /** @type {any} */ (former.lookup)(name, ...rest);
    const callback = /** @type {(...words: unknown[]) => void} */ (rest.pop());
    return callbackify(() => lookup(name, rest[0]))((error, found) => {
      if (error) callback(error);
      else if (Array.isArray(found)) callback(null, found);
      else callback(null, found.address, found.family);
    });
  };
  /** @type {any} */ (dns.promises).lookup = (/** @type {string} */ name, /** @type {unknown} */ options) =>
    isCluster(name) ? lookup(name, options) : /** @type {any} */ (former.promised)(name, options);
  Object.defineProperty(dns.lookup, promisify.custom, { value: dns.promises.lookup });

  for (const [holder, isPromised] of /** @type {[any, boolean][]} */ ([
    [dns, false],
    [dns.promises, true],
    [dns.Resolver.prototype, false],
    [dns.promises.Resolver.prototype, true],
  ])) {
    const formerResolve4 = holder.resolve4;
    /** @this {any} @param {string} name @param {unknown[]} rest */
    holder.resolve4 = function (name, ...rest) {
      if (!isCluster(name)) return formerResolve4.call(this, name, ...rest);
      if (isPromised) return ask(name);
      return callbackify(() => ask(name))(/** @type {any} */ (rest.pop()));
    };
  }
  syncBuiltinESMExports();
}
