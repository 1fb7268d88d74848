import { accessSync, constants, statSync } from "node:fs";
import type { Fault } from "@pushfleet/protocol";
import type { TlsFiles } from "./fleet-certificate.js";

/** Faults of settings that name files which cannot be read here; `undefined`: not set. For the processes that read them, not for who validates a
 *  configuration of another machine. */
export function fileFaults(files: Readonly<Record<string, string | undefined>>): readonly Fault[] {
  return Object.entries(files).flatMap(([path, file]) => {
    const reason = file === undefined ? undefined : whyUnreadable(file);
    return reason === undefined ? [] : [{ path, value: file, expected: `a readable file (${reason})` }];
  });
}

/** Of a part's `grpc.tls`. */
export function tlsFileFaults(tls: TlsFiles | undefined): readonly Fault[] {
  return fileFaults({ "grpc.tls.certFile": tls?.certFile, "grpc.tls.keyFile": tls?.keyFile, "grpc.tls.caFile": tls?.caFile });
}

function whyUnreadable(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isFile() ? undefined : "not a file";
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code ?? String(cause);
  }
}
