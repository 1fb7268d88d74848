import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import { oncePerObject } from "../once-per-object.js";
import { defaultKeyPrefix } from "./configuration-parts.js";
import type { Fleet } from "./fleet.js";
import { defaultGroupId } from "./router-configuration.js";

/** A PushGateway among others of the cluster. */
export interface PlacedFleet extends Pick<Fleet, "namespace" | "name" | "uid" | "spec"> {
  /** RFC 3339, of its creation. */
  readonly createdAt: string;
}

/** What a fleet shares with an older one, and each must have for itself. */
export interface Collision {
  readonly field: "registry.keyPrefix" | "router.kafka.groupId";
  readonly value: string;
  readonly other: Pick<PlacedFleet, "namespace" | "name">;
}

/** Where this fleet would read or take what is another's: one key prefix on one Redis, or one consumer group on one Kafka. Of two that collide the
 *  younger one is told; but never one whose own default somebody else has written down by hand. */
export function fleetCollisions(fleet: PlacedFleet, others: readonly PlacedFleet[]): readonly Collision[] {
  const found: Collision[] = [];
  const ownKeys = keysOf(fleet);
  for (const other of others) {
    if (other.uid === fleet.uid) continue;
    const { namespace, name } = other;
    const itsKeys = keysOf(other);
    for (const field of fields) {
      const [own, its] = [ownKeys[field], itsKeys[field]];
      if (own === undefined || its === undefined || own.value !== its.value || !mustYield(fleet, own, other, its)) continue;
      if (own.places().some((place) => its.places().includes(place))) found.push({ field, value: own.value, other: { namespace, name } });
    }
  }
  return found;
}

/** What separates a fleet from others at the places it shares with them. */
interface Key {
  readonly value: string;
  readonly isDefault: boolean;
  /** Where: addresses written so that two of one server are most likely equal. */
  readonly places: () => readonly string[];
}

const fields = ["registry.keyPrefix", "router.kafka.groupId"] as const satisfies readonly Collision["field"][];

/** Each fleet is held against all others at each of its turns. */
const keysOf = oncePerObject((fleet: PlacedFleet): Readonly<Record<Collision["field"], Key | undefined>> => {
  return { "registry.keyPrefix": registryKey(fleet), "router.kafka.groupId": kafkaKey(fleet) };
});

function registryKey({ namespace, name, spec: { registry } }: PlacedFleet): Key | undefined {
  const url = registry?.kind === "Redis" ? registry.url : undefined;
  if (url === undefined) return undefined;
  const own = defaultKeyPrefix({ namespace, name });
  const value = registry?.keyPrefix ?? own;
  return { value, isDefault: value === own, places: () => redisPlaces(url, namespace) };
}

function kafkaKey({ namespace, name, spec }: PlacedFleet): Key | undefined {
  const { kafka }: PushGatewaySpec["router"] = spec.router;
  if (kafka === undefined) return undefined;
  const own = defaultGroupId({ namespace, name });
  const value = kafka.groupId ?? own;
  return { value, isDefault: value === own, places: () => kafka.brokers.map((broker) => brokerPlace(broker, namespace)) };
}

function mustYield(fleet: PlacedFleet, own: Key, other: PlacedFleet, its: Key): boolean {
  if (own.isDefault !== its.isDefault) return its.isDefault;
  const age = Date.parse(fleet.createdAt) - Date.parse(other.createdAt);
  return age > 0 || (age === 0 && fleet.uid > other.uid);
}

/** The server and its database, whoever logs in there. Nothing for what is no address: fleet-problems.ts says so. */
function redisPlaces(url: string, namespace: string): readonly string[] {
  if (!URL.canParse(url)) return [];
  const { hostname, port, pathname } = new URL(url);
  const database = Number(pathname.slice(1));
  return [`${hostIn(namespace, hostname)}:${port || "6379"}/${database}`];
}

function brokerPlace(broker: string, namespace: string): string {
  const colon = broker.lastIndexOf(":");
  return `${hostIn(namespace, broker.slice(0, colon))}:${broker.slice(colon + 1)}`;
}

/** A name of one label is a Service of the fleet's own namespace, so that it means another one elsewhere; and a Service has several names. */
function hostIn(namespace: string, host: string): string {
  const name = host.toLowerCase().replace(/\.$/, "");
  const full = /^[a-z0-9-]+$/.test(name) && name !== "localhost" ? `${name}.${namespace}` : name;
  return full.replace(/^([^.]+\.[^.]+)\.svc(\.cluster\.local)?$/, "$1");
}
