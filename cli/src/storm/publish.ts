import type { Tally } from "./tally.js";

/** Per request; the endpoint takes up to 1,000. */
const perRequest = 200;

/** Publishes one notification to each of `users` and counts those that were accepted: expected before the request, for a delivery may
 *  come before the 202. */
export async function publishToAll(options: {
  readonly url: string;
  readonly users: readonly string[];
  readonly round: number;
  readonly tally: Tally;
}): Promise<{ readonly refused: number }> {
  let refused = 0;
  for (let from = 0; from < options.users.length; from += perRequest) {
    const users = options.users.slice(from, from + perRequest);
    const notifications = users.map((user, index) => ({
      user_id: user,
      notification_id: `r${options.round}_${from + index}`,
      data: { round: options.round },
    }));
    for (const one of notifications) options.tally.expect(one.user_id, one.notification_id);
    const response = await fetch(options.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ notifications }),
    });
    await response.arrayBuffer();
    if (response.status === 202) continue;
    refused += users.length;
    for (const one of notifications) options.tally.forget(one.user_id, one.notification_id);
  }
  return { refused };
}
