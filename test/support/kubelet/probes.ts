import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Container, Probe } from "./objects.js";

/**
 * Tries `probe` at its period until `signal`, and calls `onVerdict` each time its success or failure threshold is reached anew, or, after a
 * failure, again and again. A kubelet's defaults: every 10 s, 1 s to answer, 3 failures, 1 success.
 */
export async function runProbe(
  probe: Probe,
  attempt: () => Promise<boolean>,
  onVerdict: (isHealthy: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = 10, successThreshold = 1, failureThreshold = 3 } = probe;
  let verdict: boolean | undefined;
  let successes = 0;
  let failures = 0;
  if (initialDelaySeconds > 0) await sleep(initialDelaySeconds * 1000, signal);
  while (!signal.aborted) {
    const isGood = await attempt();
    if (signal.aborted) return;
    successes = isGood ? successes + 1 : 0;
    failures = isGood ? 0 : failures + 1;
    const next = successes >= successThreshold ? true : failures >= failureThreshold ? false : undefined;
    if (next !== undefined && (next !== verdict || !next)) {
      verdict = next;
      onVerdict(next);
    }
    await sleep(periodSeconds * 1000, signal);
  }
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> => delay(ms, undefined, { signal }).catch(() => {});

/** One try of an HTTP or TCP probe at the pod's address. Others (exec, grpc) the test kubelet cannot try: it throws. */
export function attemptProbe(probe: Probe, container: Container, podIp: string): Promise<boolean> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  const { httpGet, tcpSocket } = probe;
  if (tcpSocket !== undefined) return attemptTcp(tcpSocket.host ?? podIp, portNumber(tcpSocket.port, container), timeoutMs);
  if (httpGet === undefined) throw new Error(`container ${container.name}: the test kubelet tries only httpGet and tcpSocket probes`);
  return new Promise((resolve) => {
    const options = {
      host: httpGet.host ?? podIp,
      port: portNumber(httpGet.port, container),
      path: httpGet.path ?? "/",
      agent: false,
      headers: Object.fromEntries((httpGet.httpHeaders ?? []).map(({ name, value }) => [name, value])),
      signal: AbortSignal.timeout(timeoutMs),
      rejectUnauthorized: false, // as a kubelet
    };
    const sent = httpGet.scheme === "HTTPS" ? requestHttps(options) : requestHttp(options);
    sent.once("error", () => resolve(false));
    sent.once("response", (answer) => {
      answer.resume();
      const status = answer.statusCode ?? 0;
      resolve(status >= 200 && status < 400);
    });
    sent.end();
  });
}

function attemptTcp(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (isGood: boolean): void => {
      socket.destroy();
      resolve(isGood);
    };
    socket.once("connect", () => end(true));
    socket.once("timeout", () => end(false));
    socket.once("error", () => end(false));
  });
}

function portNumber(port: unknown, container: Container): number {
  if (typeof port === "number") return port;
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
}
