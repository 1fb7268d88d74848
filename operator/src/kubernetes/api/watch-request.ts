import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { malformed, unavailable, unwellEvent } from "./api-result.js";
import { type Deadline, startDeadline } from "./deadline.js";
import { describeFailure, type HttpAnswer } from "./transport.js";
import type { ApiResult, KubernetesObject, WatchEvent, WatchOptions } from "./types.js";
import { LineSplitter, parseWatchLine } from "./watch-lines.js";

export interface WatchRequest<T extends KubernetesObject> {
  readonly options: WatchOptions;
  readonly clock: Clock;
  /** Sends the request; anything but 200 comes back as what it means. Never rejects. */
  readonly begin: (signal: AbortSignal) => Promise<HttpAnswer | ApiResult<never>>;
  readonly onEvent: (event: WatchEvent<T>) => void;
}

const ended: ApiResult<"ended"> = { kind: "ok", object: "ended" };

/** One watch from its request to its end, and how it ended. Rejects only with what `onEvent` throws. */
export async function runWatch<T extends KubernetesObject>(request: WatchRequest<T>): Promise<ApiResult<"ended">> {
  const { options, clock, begin } = request;
  const { signal, timeoutSeconds, silenceMs = limits.kubernetesWatchSilenceMs } = options;
  const deadline = startDeadline(clock, timeoutSeconds * 1000 + limits.kubernetesWatchSlackMs, signal);
  const cancelBegin = clock.after(Math.min(limits.kubernetesListMs, silenceMs), () => deadline.abort(new Error("the watch did not begin")));
  try {
    const answer = await begin(deadline.signal);
    cancelBegin();
    if (signal.aborted) return ended;
    return "kind" in answer ? answer : await readEvents(request, answer, deadline, silenceMs);
  } finally {
    cancelBegin();
    deadline.release();
  }
}

async function readEvents<T extends KubernetesObject>(
  { options: { signal }, clock, onEvent }: WatchRequest<T>,
  { body }: HttpAnswer,
  deadline: Deadline,
  silenceMs: number,
): Promise<ApiResult<"ended">> {
  const lines = new LineSplitter(limits.kubernetesEventBytesMax);
  const chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let heardAtMs = clock.monotonicMs();
  const cancelEar = clock.every(silenceMs / 4, () => {
    if (clock.monotonicMs() - heardAtMs >= silenceMs) deadline.abort(new Error(`nothing heard for ${silenceMs} ms`));
  });
  /** What ends the watch, if the line does. */
  const take = (line: string): ApiResult<"ended"> | undefined => {
    const event = parseWatchLine<T>(line);
    if (event === undefined) return malformed("a line of the watch is no event");
    onEvent(event);
    return event.type === "ERROR" ? unwellEvent(event.object, clock.nowMs()) : undefined;
  };
  try {
    for (;;) {
      const next = await nextChunk(chunks);
      if (signal.aborted) return ended;
      if (next.kind === "broken") return unavailable(deadline.signal.aborted ? describeFailure(deadline.signal.reason) : next.message);
      const complete = next.kind === "end" ? [lines.rest()].filter((line) => line !== "") : lines.push(next.chunk);
      heardAtMs = clock.monotonicMs();
      for (const line of complete) {
        const end = take(line);
        if (end !== undefined) return end;
        if (signal.aborted) return ended;
      }
      if (lines.overflow) return malformed(`a line of the watch is longer than ${limits.kubernetesEventBytesMax} bytes`);
      if (next.kind === "end") return ended;
    }
  } finally {
    cancelEar();
    body.destroy();
  }
}

type Next =
  | { readonly kind: "chunk"; readonly chunk: Buffer }
  | { readonly kind: "end" }
  | { readonly kind: "broken"; readonly message: string };

async function nextChunk(chunks: AsyncIterator<Buffer>): Promise<Next> {
  try {
    const next = await chunks.next();
    return next.done === true ? { kind: "end" } : { kind: "chunk", chunk: next.value };
  } catch (cause) {
    return { kind: "broken", message: describeFailure(cause) };
  }
}
