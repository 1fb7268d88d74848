import type { experimental } from "@grpc/grpc-js";
import type { Clock } from "./clock.js";
import { type ExpectedPeer, type FleetIdentity, formatIdentity, parseIdentity, peerFault } from "./fleet-identity.js";
import { checkKeyPair } from "./key-pair.js";
import type { Logger } from "./logging.js";
import { type FileContents, readFiles, watchFiles } from "./watched-files.js";

/** Paths of PEM files: a certificate with the process' identity, its key, and the authority of its fleet, which signs for nobody else. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** The same as texts, of a process that holds them in memory. */
export interface TlsPem {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** The certificate of this process in its fleet, as it is now: what gRPC servers and clients show and trust at their next handshake. */
export interface FleetCertificate {
  readonly identity: FleetIdentity;
  /** When it ends (ms since the epoch). */
  readonly validUntilMs: number;
  /** For grpc-js' credentials. */
  readonly provider: experimental.CertificateProvider;
  /** Takes a new pair for the same identity, one that is not over at `nowMs`. Returns why not: then the old one serves on. */
  renew(pem: TlsPem, nowMs: number): string | undefined;
  /** No more looks at files. */
  stop(): void;
}

export interface CertificateOptions {
  /** Whose it must be. */
  readonly of?: ExpectedPeer | undefined;
  readonly clock: Pick<Clock, "nowMs" | "every">;
  readonly logger: Logger;
}

/** What may stand where gRPC is told how to be secure. Files and texts are read once; what has to follow renewals is a `FleetCertificate`. */
export type Tls = FleetCertificate | TlsFiles | TlsPem;

/** Reads files once. Throws with what would be right. */
export function readTlsFiles({ certFile, keyFile, caFile }: TlsFiles): TlsPem {
  return toPem(readFiles([certFile, keyFile, caFile]));
}

/** The certificate in `files`, which follows them: a pair that is not right (half written, of another identity, over) is logged once, and the old
 *  one serves on. Throws with what would be right when there is none to start with; one that is over is logged, its renewal is waited for. */
export function openCertificate(files: TlsFiles, { of, clock, logger }: CertificateOptions): FleetCertificate {
  const paths = [files.certFile, files.keyFile, files.caFile];
  const contents = readFiles(paths);
  const certificate = holdCertificate(toPem(contents));
  const { identity } = certificate;
  const fault = of === undefined ? undefined : peerFault(identity, of, identity);
  if (fault !== undefined) throw new Error(`${files.certFile}: ${fault}`);
  if (certificate.validUntilMs <= clock.nowMs())
    logger.error({ certFile: files.certFile }, "the certificate is over, nobody will accept it");
  const watched = watchFiles(paths, contents, {
    clock,
    onChange: (changed) => {
      const fault = certificate.renew(toPem(changed), clock.nowMs());
      if (fault === undefined) logger.info({ validUntilMs: certificate.validUntilMs }, "certificate renewed");
      else logger.warn({ reason: fault, certFile: files.certFile }, "a new certificate is not right, the old one serves on");
    },
    onUnreadable: (cause) => logger.warn({ err: cause, certFile: files.certFile }, "a certificate cannot be read, the old one serves on"),
  });
  return {
    ...certificate,
    get validUntilMs() {
      return certificate.validUntilMs;
    },
    stop: () => watched.stop(),
  };
}

/** A certificate in memory; `renew` is its owner's business. Throws with what would be right. */
export function holdCertificate(pem: TlsPem): FleetCertificate {
  const first = checkPair(pem);
  if (first.kind === "fault") throw new Error(`certificate: ${first.reason}`);
  const { identity } = first;
  const provider = new HeldCertificate(pem);
  let validUntilMs = first.validUntilMs;
  return {
    identity,
    get validUntilMs() {
      return validUntilMs;
    },
    provider,
    renew: (renewed, nowMs) => {
      const checked = checkPair(renewed);
      if (checked.kind === "fault") return checked.reason;
      const [was, is] = [formatIdentity(identity), formatIdentity(checked.identity)];
      if (was !== is) return `it is that of ${is}, expected ${was}`;
      if (checked.validUntilMs <= nowMs) return "it is over";
      validUntilMs = checked.validUntilMs;
      provider.set(renewed);
      return undefined;
    },
    stop: () => {},
  };
}

/** Whatever the caller has, as what gRPC needs. */
export function toCertificate(tls: Tls): FleetCertificate {
  if ("provider" in tls) return tls;
  return holdCertificate("cert" in tls ? tls : readTlsFiles(tls));
}

function toPem([cert, key, ca]: FileContents): TlsPem {
  return { cert: String(cert ?? ""), key: String(key ?? ""), ca: String(ca ?? "") };
}

type Checked =
  | { readonly kind: "right"; readonly identity: FleetIdentity; readonly validUntilMs: number }
  | { readonly kind: "fault"; readonly reason: string };

function checkPair({ cert, key, ca }: TlsPem): Checked {
  const checked = checkKeyPair({ cert, key }, ca);
  if (checked.kind === "fault") return checked;
  const identity = parseIdentity(checked.leaf.subjectAltName);
  if (identity === undefined) {
    return { kind: "fault", reason: "expected one subject alternative name URI:pushfleet://<namespace>/<fleet>/<role>/<id>" };
  }
  return { kind: "right", identity, validUntilMs: checked.validUntilMs };
}

/** grpc-js asks for listeners; it takes a first answer only once it has registered them. */
class HeldCertificate implements experimental.CertificateProvider {
  readonly #authorities = new Set<experimental.CaCertificateUpdateListener>();
  readonly #identities = new Set<experimental.IdentityCertificateUpdateListener>();
  #pem: TlsPem;

  constructor(pem: TlsPem) {
    this.#pem = pem;
  }

  set(pem: TlsPem): void {
    this.#pem = pem;
    for (const listener of this.#authorities) listener(this.#authority());
    for (const listener of this.#identities) listener(this.#identity());
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#authorities.add(listener);
    queueMicrotask(() => listener(this.#authority()));
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#authorities.delete(listener);
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#identities.add(listener);
    queueMicrotask(() => listener(this.#identity()));
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#identities.delete(listener);
  }

  #authority(): experimental.CaCertificateUpdate {
    return { caCertificate: Buffer.from(this.#pem.ca) };
  }

  #identity(): experimental.IdentityCertificateUpdate {
    return { certificate: Buffer.from(this.#pem.cert), privateKey: Buffer.from(this.#pem.key) };
  }
}
