import { observePeer, type PeerName } from "./peer-state.mjs";

/** What starts this peer: a program, or the folder with its programs. Throws with the reason when it cannot be had. */
export function peerProgram(peer: PeerName): string {
  const state = observePeer(peer);
  switch (state.kind) {
    case "given":
      return state.value;
    case "startable":
      return state.program;
    case "missing":
      throw new Error(state.reason);
  }
}
