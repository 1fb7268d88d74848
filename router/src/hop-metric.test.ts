import { expect, test } from "vitest";
import { post, RouterWorld } from "./router-world.test-suite.js";

test("the hop to a gateway and back is measured for each batch, finely enough to tell half a millisecond", async () => {
  const world = await new RouterWorld().start();
  try {
    const gateway = await world.addGateway();
    await gateway.connect(world.registry, "usr_42", "phone");
    gateway.holdBatch = (go) => {
      world.clock.advance(20);
      go();
    };
    const answer = post(world.router.addresses.http, '{"user_id":"usr_42","notification_id":"n1","data":1}');
    expect(await world.settled(answer, "the answer")).toMatchObject({ status: 202 });
    const lines = (await world.router.metrics.metrics()).split("\n");
    const value = (series: string): number =>
      Number(
        lines
          .find((line) => line.startsWith(`${series} `))
          ?.split(" ")
          .at(-1),
      );
    expect(value("pushfleet_router_hop_seconds_count")).toBe(1);
    expect(value("pushfleet_router_hop_seconds_sum")).toBeGreaterThanOrEqual(0.02);
    expect(value('pushfleet_router_hop_seconds_bucket{le="0.0005"}')).toBe(0);
  } finally {
    await world.stop();
  }
});
