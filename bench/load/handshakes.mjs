// A closed loop of upgrades: connect, hello, close frame, wait for the end, again.
import { connect } from "node:net";
import { answerRequests } from "../processes.mjs";
import { closeFrame, parseHello, upgradeRequest } from "./upgrade.mjs";

const parallel = 64;
const users = 5_000;

/** @type {Buffer[]} */
let requests = [];
let handshakes = 0;
let isRunning = false;
/** @type {Error | undefined} */
let failure;

/** One loop; a whole handshake is small, so it mostly comes in one or two reads.
 * @param {number} port @param {number} first @param {() => void} done */
function loop(port, first, done) {
  let index = first;
  const next = () => {
    if (!isRunning) return done();
    let text = "";
    let isGreeted = false;
    const socket = connect(port, "127.0.0.1");
    socket.on("data", (bytes) => {
      if (isGreeted) return;
      text += bytes.latin1Slice();
      try {
        if (parseHello(text) === undefined) return;
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error));
        isRunning = false;
        socket.destroy();
        return;
      }
      isGreeted = true;
      handshakes++;
      socket.write(closeFrame);
    });
    socket.on("error", (error) => {
      failure ??= error;
      isRunning = false;
    });
    socket.on("close", next);
    socket.write(/** @type {Buffer} */ (requests[index]));
    index = (index + parallel) % requests.length;
  };
  next();
}

/** @type {Promise<unknown>} */
let ended = Promise.resolve();

answerRequests({
  /** Signs the tokens before anything is measured, then runs until "finish". @param {{ port: number }} argument */
  begin({ port }) {
    requests = Array.from({ length: users }, (_, i) => upgradeRequest({ port, user: `usr_${i}`, device: `device_${i}` }));
    isRunning = true;
    ended = Promise.all(Array.from({ length: parallel }, (_, i) => new Promise((resolve) => loop(port, i, () => resolve(undefined)))));
  },
  /** Handshakes so far. */
  count() {
    if (failure !== undefined) throw failure;
    return handshakes;
  },
  async finish() {
    isRunning = false;
    await ended;
    if (failure !== undefined) throw failure;
  },
});
