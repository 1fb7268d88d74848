/** An IPv6 address in brackets, or a name or an IPv4 address. */
export const hostPattern = "(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+)";

/** 1 to 65535. */
export const portPattern = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";

/** "host:port" of what is to be dialled; crds/pushgateway.yaml has the same as a rule for brokers (test/judges-agree.test.ts holds them together). */
export const hostPortPattern = `^${hostPattern}:${portPattern}$`;

export const hostPortExpected = '"host:port" with a port from 1 to 65535';

const pattern = new RegExp(hostPortPattern);

export function isHostPort(text: string): boolean {
  return pattern.test(text);
}

/** "host:port" as it is dialled: an IPv6 address in brackets, whether it came with them or not. */
export function hostPort(host: string, port: number): string {
  return `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}

/** The host as a socket wants it: an IPv6 address without brackets. */
export function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}
