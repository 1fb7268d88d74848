// Opens connections and keeps them, reading nothing but hello.
import { connect } from "node:net";
import { answerRequests } from "../processes.mjs";
import { parseHello, upgradeRequest } from "./upgrade.mjs";

const openingAtOnce = 100;
/** @type {import("node:net").Socket[]} */
const sockets = [];

/** Resolves when hello has come.
 * @param {number} port @param {number} index */
function open(port, index) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`closed before hello after ${sockets.length} connections`)));
    socket.on("data", (bytes) => {
      try {
        text += bytes.toString("latin1");
        if (parseHello(text) === undefined) return;
        socket
          .removeAllListeners("data")
          .removeAllListeners("close")
          .removeAllListeners("error")
          .on("error", () => {});
        socket.resume();
        sockets.push(socket);
        resolve(undefined);
      } catch (error) {
        reject(error);
      }
    });
    socket.write(upgradeRequest({ port, user: `usr_${index}`, device: `device_${index}` }));
  });
}

answerRequests({
  /** @param {{ port: number, count: number }} argument */
  async open({ port, count }) {
    let next = sockets.length;
    const last = next + count;
    const opener = async () => {
      while (next < last) await open(port, next++);
    };
    await Promise.all(Array.from({ length: openingAtOnce }, opener));
    return sockets.length;
  },
});
