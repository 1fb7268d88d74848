// Connections that read and discard, counting bytes: every frame of the feeder has the same size.
import { connect } from "node:net";
import { answerRequests } from "../processes.mjs";
import { parseHello, upgradeRequest } from "./upgrade.mjs";

const openingAtOnce = 50;
/** One for all: nothing is kept. */
const discarded = Buffer.alloc(256 * 1024);

/** The reader sleeps between two rounds, so that it takes many frames a read and leaves the core to the feeder: a million clients are not on
 *  one core either. */
const napMs = 10;
const napping = new Int32Array(new SharedArrayBuffer(4));

let receivedBytes = 0;
let lost = 0;

/** Resolves with whom to deliver to. One buffer for all sockets: a read makes no garbage, so the reader is not what is measured.
 * @param {number} port @param {number} index @returns {Promise<{ user: string, device: string, connection: string }>} */
function open(port, index) {
  const [user, device] = [`usr_${index}`, `device_${index}`];
  return new Promise((resolve, reject) => {
    let text = "";
    let isGreeted = false;
    const onRead = (/** @type {number} */ length, /** @type {Uint8Array} */ buffer) => {
      if (isGreeted) {
        receivedBytes += length;
        return true;
      }
      try {
        text += Buffer.from(buffer.buffer, buffer.byteOffset, length).latin1Slice();
        const hello = parseHello(text);
        if (hello === undefined) return true;
        isGreeted = true;
        resolve({ user, device, connection: hello.connection_id.slice(hello.connection_id.indexOf(".") + 1) });
      } catch (error) {
        reject(error);
      }
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", onread: { buffer: discarded, callback: onRead } });
    socket.on("error", reject);
    socket.on("close", () => {
      lost++;
      reject(new Error("closed before hello"));
    });
    socket.write(upgradeRequest({ port, user, device }));
  });
}

answerRequests({
  /** @param {{ port: number, count: number }} argument */
  async open({ port, count }) {
    /** @type {Awaited<ReturnType<typeof open>>[]} */
    const targets = [];
    let next = 0;
    const opener = async () => {
      while (next < count) targets.push(await open(port, next++));
    };
    await Promise.all(Array.from({ length: openingAtOnce }, opener));
    return targets;
  },
  /** From now on in rounds. */
  discard() {
    const nap = () => {
      Atomics.wait(napping, 0, 0, napMs);
      setImmediate(nap);
    };
    nap();
  },
  received() {
    if (lost > 0) throw new Error(`${lost} connections were closed`);
    return receivedBytes;
  },
});
