import { cursorBefore, formatCursor, gapFrame, limits, type NotificationId, notificationFrame } from "@pushfleet/protocol";
import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import { ManualClock, systemClock, v1 } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import type { ExampleClient } from "../example-gateway.test-suite.js";
import { example, start } from "../started-gateway.test-suite.js";

const { OUTCOME_WRITTEN, OUTCOME_STALE, OUTCOME_OVERFLOW } = v1.Outcome;

const cursorOf = (index: number) => formatCursor(1_700_000_000_000, index);

function notification(index: number, targets: readonly v1.ITarget[], more: v1.IDelivery & { readonly data?: string } = {}): v1.IDelivery {
  const { data = `{"index":${index}}`, ...rest } = more;
  const [notificationId, cursor] = [`n${index}` as NotificationId, cursorOf(index)];
  const frame = Buffer.from(notificationFrame({ notificationId, cursor, data }));
  return { frame, targets: [...targets], notificationId, cursor, createdAtMs: example.clock.nowMs() - 40, ...rest };
}

async function target(user: string, device: string): Promise<v1.ITarget> {
  const entry = await example.entryOf(user, device);
  return { user, device, connection: entry?.entry.connection ?? "" };
}

const idsOf = (client: ExampleClient) => client.of("notification").map(({ notification_id }) => notification_id);

describe("a batch", () => {
  test("reaches its connections byte for byte, and the outcomes stand in the order of the targets", async () => {
    await start();
    const [phone, tablet, other] = [
      await example.connect("usr_42", "phone"),
      await example.connect("usr_42", "tablet"),
      await example.connect("other", "phone"),
    ];
    const at = { phone: await target("usr_42", "phone"), tablet: await target("usr_42", "tablet"), other: await target("other", "phone") };
    const stale = [
      { ...at.phone, user: "other" },
      { ...at.phone, device: "tablet" },
      { ...at.phone, connection: "zzz" },
      { ...at.phone, connection: "../1" },
    ];
    const data = '{"id":9007199254740993,"x":1.0,"s":"\\u00e9"}';
    const outcomes = await example.deliveries().send({
      deliveries: [notification(1, [at.phone, ...stale, at.tablet], { data }), notification(2, [at.other]), notification(3, [at.phone])],
    });
    expect(outcomes).toEqual([OUTCOME_WRITTEN, ...stale.map(() => OUTCOME_STALE), OUTCOME_WRITTEN, OUTCOME_WRITTEN, OUTCOME_WRITTEN]);
    await phone.frame("notification", 2);
    expect(idsOf(phone)).toEqual(["n1", "n3"]);
    expect(phone.texts.some((text) => text.includes(`"data":${data}`))).toBe(true);
    await tablet.frame("notification");
    await other.frame("notification");
    expect([idsOf(tablet), idsOf(other)]).toEqual([["n1"], ["n2"]]);
    expect(await example.metric('pushfleet_delivery_seconds_bucket{le="0.025"}')).toBe("0");
    expect(await example.metric("pushfleet_delivery_seconds_count")).toBe("4");
    expect(example.gateway.status().deliveries).toBe(4);
  });

  test("keeps the order of many frames for one socket", async () => {
    await start();
    const client = await example.connect("usr_42", "phone");
    const to = [await target("usr_42", "phone")];
    const outcomes = await example.deliveries().send({ deliveries: Array.from({ length: 500 }, (_, index) => notification(index, to)) });
    expect(outcomes).toEqual(Array(500).fill(OUTCOME_WRITTEN));
    await client.frame("notification", 500);
    expect(idsOf(client)).toEqual(Array.from({ length: 500 }, (_, index) => `n${index}`));
  });

  test("to a connection that is registered but has no hello yet comes right behind the hello", async () => {
    const memory = createMemoryRegistry({ clock: systemClock });
    let goOn: (() => void) | undefined;
    const register: Registry["register"] = async (registration) => {
      const registered = await memory.register(registration);
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      return registered;
    };
    await start({ registry: Object.assign(Object.create(memory) as Registry, passThrough(memory), { register }) });
    const client = example.open(`?token=${example.token()}&device=phone`);
    await waitFor(() => goOn, { what: "the registration" });
    const outcomes = await example.deliveries().send({ deliveries: [notification(1, [await target("usr_42", "phone")])] });
    expect(outcomes).toEqual([OUTCOME_WRITTEN]);
    expect(client.frames).toEqual([]);
    goOn?.();
    await client.frame("notification");
    expect(client.frames.map(({ type }) => type)).toEqual(["hello", "notification"]);
  });

  test("with an expired notification counts it as written and sends nothing", async () => {
    await start();
    const client = await example.connect("usr_42", "phone");
    const to = [await target("usr_42", "phone")];
    const late = notification(1, to, { expiresAtMs: example.clock.nowMs() - 1 });
    const outcomes = await example.deliveries().send({ deliveries: [late, notification(2, to)] });
    expect(outcomes).toEqual([OUTCOME_WRITTEN, OUTCOME_WRITTEN]);
    await client.frame("notification");
    expect(idsOf(client)).toEqual(["n2"]);
  });

  test("tells how long a notification took to be acked", async () => {
    await start();
    const client = await example.connect("usr_42", "phone");
    await example.deliveries().send({ deliveries: [notification(1, [await target("usr_42", "phone")])] });
    await client.frame("notification");
    client.send({ type: "ack", notification_ids: ["n1", "unknown"], state: "received" });
    await waitFor(() => example.router.acks.length === 1, { what: "the ack" });
    expect(await example.metric("pushfleet_receipt_seconds_count")).toBe("1");
  });
});

describe("a client that does not read", () => {
  const frameBytes = 32 * 1024;
  const filler = JSON.stringify("x".repeat(frameBytes - 200));

  /** Delivers until the kernel's buffers and the outbox are full. */
  async function overflow(more: v1.IDelivery = {}): Promise<{ readonly client: ExampleClient; readonly outcomes: readonly v1.Outcome[] }> {
    const client = await example.connect("usr_42", "phone");
    client.socket.pause();
    const to = [await target("usr_42", "phone")];
    const router = example.deliveries();
    const outcomes: v1.Outcome[] = [];
    for (let index = 0; !outcomes.includes(OUTCOME_OVERFLOW) && index < 2000; index += 20) {
      const deliveries = Array.from({ length: 20 }, (_, i) => notification(index + i, to, { data: filler, ...more }));
      outcomes.push(...(await router.send({ deliveries })));
    }
    return { client, outcomes };
  }

  test("loses the oldest of what waits, is told by a gap, and the others notice nothing", async () => {
    await start();
    const bystander = await example.connect("other", "phone");
    const { client } = await overflow();
    await example.deliveries().send({ deliveries: [notification(1, [await target("other", "phone")])] });
    await bystander.frame("notification");
    client.socket.resume();
    const { after } = await client.frame("gap");
    const received = idsOf(client).map((id) => Number(String(id).slice(1)));
    const firstMissing = received.findIndex((index, position) => index !== position);
    expect(after).toBe(cursorBefore(cursorOf(firstMissing)));
    client.send({ type: "ping" });
    await client.frame("pong");
  });

  test("is closed with 4410 when something has waited for 20 s", async () => {
    await start({ clock: new ManualClock() });
    await overflow();
    await example.advance(limits.outboxStayMs - 2000, 1000);
    expect(example.gateway.status().connections).toBe(1);
    await example.advance(4000, 1000);
    expect(example.gateway.status().connections).toBe(0);
    expect(await example.metric('pushfleet_gateway_closes_total{code="4410"}')).toBe("1");
  });

  test("is closed with 4410 when it cannot be given what is never dropped", async () => {
    await start();
    const { outcomes } = await overflow({ kind: v1.FrameKind.FRAME_MARK_READ }).catch(() => ({ outcomes: [] }));
    expect(outcomes).not.toContain(OUTCOME_OVERFLOW);
    await waitFor(() => example.gateway.status().connections === 0, { what: "the close" });
    expect(await example.metric('pushfleet_gateway_closes_total{code="4410"}')).toBe("1");
  });

  test("gets the pages of its sync only as it reads them", async () => {
    await start();
    const big = Buffer.from(JSON.stringify({ type: "sync_batch", filler: "x".repeat(256 * 1024) }));
    example.router.pages = Object.fromEntries(
      Array.from({ length: 200 }, (_, i) => [i === 0 ? "" : `p${i}`, { frame: big, hasMore: i < 199, nextPage: `p${i + 1}` }]),
    );
    const client = await example.connect("usr_42", "phone");
    client.socket.pause();
    client.send({ type: "sync" });
    let asked = -1;
    await waitFor(
      () => {
        const before = asked;
        asked = example.router.syncs.length;
        return asked === before;
      },
      { what: "the pages to stop", intervalMs: 200 },
    );
    expect(asked).toBeLessThan(200);
    client.socket.resume();
    await client.frame("sync_batch", 200);
  });
});

test("a resync that a router asked for is a gap to every connection", async () => {
  await start({ clock: new ManualClock() });
  const clients = [await example.connect("a", "phone"), await example.connect("b", "phone")];
  const incarnation = example.gateway.status().incarnation as Parameters<Registry["requestResync"]>[0];
  await example.registry.requestResync(incarnation, cursorOf(7));
  await example.advance(limits.leaseRefreshMs + 1000, 100);
  for (const client of clients) expect(await client.frame("gap")).toEqual(JSON.parse(gapFrame(cursorOf(7))));
});

function passThrough(registry: Registry): Partial<Registry> {
  return {
    start: () => registry.start(),
    stop: () => registry.stop(),
    acquireLease: (lease) => registry.acquireLease(lease),
    refreshLease: (incarnation) => registry.refreshLease(incarnation),
    releaseLease: (incarnation) => registry.releaseLease(incarnation),
    unregister: (unregistration) => registry.unregister(unregistration),
    lookUp: (users) => registry.lookUp(users),
    onReconnected: (listener) => registry.onReconnected(listener),
  };
}
