import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below the ports Linux gives to outgoing connections (32768 and up), so that a test's thousands of sockets take none of them. */
const PORT_FIRST = 20_000;
const PORT_LAST = 31_999;
const ATTEMPTS_MAX = 200;
const START_ATTEMPTS_MAX = 3;

/** Ports that this process has handed out: their users may not have bound them yet. */
const handedOut = new Set<number>();

/** A port that nothing listens on at 127.0.0.1 now. It is free, not reserved: who can should use `startOnFreePort`. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port;
}

/** `count` consecutive free ports, for a server that listens on port + i for its worker i. Always at least one. */
export async function freePorts(count: number): Promise<readonly [number, ...number[]]> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const first = randomInt(PORT_FIRST, PORT_LAST - count + 2);
    const rest = Array.from({ length: count - 1 }, (_, index) => first + 1 + index);
    const ports: readonly [number, ...number[]] = [first, ...rest];
    if (ports.some((port) => handedOut.has(port))) continue;
    const free = await Promise.all(ports.map(isFree));
    if (!free.every(Boolean)) continue;
    for (const port of ports) handedOut.add(port);
    return ports;
  }
  throw new Error(`no ${count} consecutive free ports between ${PORT_FIRST} and ${PORT_LAST} in ${ATTEMPTS_MAX} attempts`);
}

/** Runs `start` with a free port, and again with another when somebody else took that one in between. */
export async function startOnFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (attempt === START_ATTEMPTS_MAX || !isAddressInUse(error)) throw error;
    }
  }
}

/** The words of Node, Redis, Kafka and HAProxy, which `startProcess` puts in its error. */
function isAddressInUse(error: unknown): boolean {
  return /EADDRINUSE|address already in use|cannot bind socket/i.test(String(error));
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
