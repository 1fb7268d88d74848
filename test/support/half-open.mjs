// Opens many connections, sends half a request on each, and says when all were cut: `open N`, then `all cut MS`, counted from the last opening.
import { connect } from "node:net";

const [port, count] = process.argv.slice(2).map(Number);
let open = 0;
let closed = 0;
let started = 0;
let allOpenMs = 0;

function next() {
  if (started >= count) return;
  started++;
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => {
    socket.write("GET /connect?device=x HTTP/1.1\r\nHost: x\r\n");
    if (++open === count) {
      allOpenMs = performance.now();
      console.log(`open ${open}`);
    }
    next();
  });
  socket.on("error", () => {}); // a reset is a cut
  socket.resume();
  socket.once("close", () => {
    if (++closed === count) console.log(`all cut ${Math.round(performance.now() - allOpenMs)}`);
  });
}
for (let lane = 0; lane < 200; lane++) next();
