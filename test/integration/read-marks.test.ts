import { type Client, connect, type WebSocketConstructor } from "@pushfleet/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { signToken } from "../support/device.js";
import type { GatewayProcess } from "../support/fleet-processes.js";
import { ProcessFleet } from "../support/process-fleet.js";

describeWithPeers(["redis-server"], "the devices of one user, on two gateways", () => {
  let fleet: ProcessFleet;
  const clients: Client[] = [];

  beforeAll(async () => {
    fleet = await ProcessFleet.start({ name: "read-marks", gateways: ["gw-1", "gw-2"] });
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) client.close();
    await fleet?.stop();
  });

  /** Connects, and writes down what the application is told: "n1", "n1 read", "mark n1". */
  async function open(who: string, gateway: GatewayProcess | undefined, told: string[], lastSeen?: string): Promise<Client> {
    const [user = "", device = ""] = who.split("/");
    const client = connect({
      url: `ws://127.0.0.1:${gateway?.clientPort}/connect`,
      token: await signToken(user, ProcessFleet.jwtSecret),
      device,
      lastSeen,
      WebSocket: WebSocket as unknown as WebSocketConstructor,
      onNotification: ({ notificationId, read }) => told.push(`${notificationId}${read ? " read" : ""}`),
      onMarkRead: (ids) => told.push(...ids.map((id) => `mark ${id}`)),
    });
    clients.push(client);
    await waitFor(() => client.state.kind === "live" && client.cursor !== undefined, { what: `${who} to be live and synced` });
    return client;
  }

  async function publish(user: string, ...ids: readonly string[]): Promise<void> {
    const notifications = ids.map((id) => ({ user_id: user, notification_id: id, data: { id } }));
    expect((await fleet.publish(notifications)).status).toBe(202);
  }

  const newIn = (told: readonly string[]): readonly string[] =>
    told
      .filter((one) => !one.startsWith("mark "))
      .map((one) => one.replace(" read", ""))
      .sort();
  const readIn = (told: readonly string[]): readonly string[] =>
    told
      .filter((one) => /^mark | read$/.test(one))
      .map((one) => one.replace(/^mark | read$/, ""))
      .sort();

  test("what one reads becomes read on the other, each once: at once where it is connected, with the sync where it was away", async () => {
    const [phoneTold, webTold]: [string[], string[]] = [[], []];
    const phone = await open("usr_42/phone", fleet.gateways[0], phoneTold);
    const web = await open("usr_42/web", fleet.gateways[1], webTold);
    await publish("usr_42", "n1", "n2");
    await waitFor(() => phoneTold.length === 2 && webTold.length === 2, { what: "both to have both" });

    phone.ack(["n1"]);
    await waitFor(() => webTold.includes("mark n1"), { what: "the live mark" });
    web.sync(); // tells of n1 again, in its notifications and in its reads
    await publish("usr_42", "n3");
    await waitFor(() => webTold.includes("n3"), { what: "n3" });

    const { cursor } = web;
    web.close();
    phone.ack(["n3"]);
    await publish("usr_42", "n4");
    await waitFor(() => phoneTold.includes("n4"), { what: "n4 on the phone" });
    phone.ack(["n4"]);
    await publish("usr_42", "n5");
    await waitFor(() => phoneTold.includes("n5"), { what: "n5 on the phone" });
    expect(webTold).toEqual(["n1", "n2", "mark n1", "n3"]);

    const laterTold: string[] = [];
    await open("usr_42/web", fleet.gateways[0], laterTold, cursor);
    // An ack that is still on its way to the store becomes a mark, the others came with the sync; a new client has seen nothing yet.
    await waitFor(() => laterTold.length > 4 && readIn(laterTold).join() === "n1,n3,n4", { what: "the web to know what was read" });
    expect(newIn(laterTold)).toEqual(["n1", "n2", "n3", "n4", "n5"]);
    expect(phoneTold).toEqual(["n1", "n2", "n3", "n4", "n5"]);
  });

  test("a device that lost its connection and had the notification is told of the mark by its sync", async () => {
    const [phoneTold, tabletTold]: [string[], string[]] = [[], []];
    const phone = await open("usr_43/phone", fleet.gateways[0], phoneTold);
    const tablet = await open("usr_43/tablet", fleet.gateways[1], tabletTold);
    await publish("usr_43", "m1");
    await waitFor(() => phoneTold.includes("m1") && tabletTold.includes("m1"), { what: "m1 on both" });
    const [, gone] = fleet.gateways;
    if (gone === undefined) throw new Error("no gateway");
    await gone.process.kill();
    await waitFor(() => tablet.state.kind !== "live", { what: "the tablet to notice" });
    phone.ack(["m1"]);
    await fleet.startGateway("gw-3", { listen: { host: "127.0.0.1", port: gone.clientPort } });
    await waitFor(() => tabletTold.includes("mark m1"), { what: "the mark", deadlineMs: 30_000 });
    expect(tabletTold).toEqual(["m1", "mark m1"]);
  });
});
