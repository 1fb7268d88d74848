import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** Second bytes of 127.0.0.0/8 that test kubelets share out: each has a /16 of its own. */
const BLOCK_FIRST = 20;
const BLOCK_LAST = 250;
/** Not a well-known port: a user without rights can bind it. */
export const nameServerPort = 5300;

/** A /16 of loopback: `x.0.1` is the name server, `x.0.N` the nodes, from `x.1.0` up the pods. */
export interface LoopbackNetwork {
  /** "127.20" */
  readonly prefix: string;
  /** Bound at the name server's address. Who holds it has the /16: another kubelet, in any process, finds it in use. */
  readonly socket: Socket;
  nodeAddress(index: number): string;
  /** Another one each time; after 65,000 they come round. */
  nextPodAddress(): string;
}

/** Takes a free /16, or the one that is asked for ("127.20"). */
export async function takeNetwork(wanted?: string): Promise<LoopbackNetwork> {
  const count = BLOCK_LAST - BLOCK_FIRST + 1;
  const start = process.pid % count;
  const prefixes = wanted === undefined ? Array.from({ length: count }, (_, i) => `127.${BLOCK_FIRST + ((start + i) % count)}`) : [wanted];
  for (const prefix of prefixes) {
    const socket = await bind(`${prefix}.0.1`);
    if (socket !== undefined) return network(prefix, socket);
  }
  throw new Error(`no free block of loopback addresses in ${prefixes[0]}.0.0/16 … ${prefixes.at(-1)}.0.0/16`);
}

function network(prefix: string, socket: Socket): LoopbackNetwork {
  let handedOut = 0;
  return {
    prefix,
    socket,
    nodeAddress: (index) => `${prefix}.0.${10 + index}`,
    nextPodAddress: () => {
      const index = handedOut++ % (255 * 254);
      return `${prefix}.${1 + Math.floor(index / 254)}.${1 + (index % 254)}`;
    },
  };
}

async function bind(address: string): Promise<Socket | undefined> {
  const socket = createSocket({ type: "udp4", reuseAddr: false });
  socket.bind(nameServerPort, address);
  try {
    await once(socket, "listening");
    return socket;
  } catch {
    return undefined; // in use: a socket that cannot be bound closes itself
  }
}
