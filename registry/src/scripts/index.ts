import type { Script } from "../redis-command.js";
import { acquireLeaseScript } from "./acquire-lease.js";
import { deleteEntryScript } from "./delete-entry.js";
import { registerScript } from "./register.js";
import { requestResyncScript, takeResyncScript } from "./resync.js";
import { revokeScript } from "./revoke.js";

/** By the name of the command each becomes. None is a command of Redis itself. */
export const scripts: Readonly<Record<string, Script>> = {
  register: registerScript,
  deleteEntry: deleteEntryScript,
  acquireLease: acquireLeaseScript,
  requestResync: requestResyncScript,
  takeResync: takeResyncScript,
  revoke: revokeScript,
};
