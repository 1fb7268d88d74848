import { hostPattern, portPattern } from "./host-port.js";

/** Of a part's configuration; crds/pushgateway.yaml has the same as a rule (test/redis-address.test.ts holds them together). A port is 1 to 65535: with
 *  another a client of Redis never connects, and never says so. */
export const redisAddressPattern = `^rediss?://([^\\x00-\\x20/?#]*@)?${hostPattern}(:${portPattern})?(/[0-9]{0,5})?([?][^\\x00-\\x20#]*)?$`;

export const redisAddressExpected = "redis://[user:password@]host[:port][/database], or rediss://, with a port from 1 to 65535";

const pattern = new RegExp(redisAddressPattern);

export function isRedisAddress(text: string): boolean {
  return pattern.test(text);
}
