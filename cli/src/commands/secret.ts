import { readFileSync } from "node:fs";

export interface SecretOptions {
  readonly jwtSecret: string;
  /** Wins over `jwtSecret`. */
  readonly jwtSecretFile?: string | undefined;
}

export type ReadSecret = { readonly kind: "secret"; readonly secret: string } | { readonly kind: "fault"; readonly fault: string };

/** The HS256 secret of `--jwt-secret` or `--jwt-secret-file`, whose line end does not count. HMAC has no empty key. */
export function readSecret(options: SecretOptions): ReadSecret {
  const { jwtSecret, jwtSecretFile } = options;
  if (jwtSecretFile === undefined) {
    return jwtSecret === ""
      ? { kind: "fault", fault: '--jwt-secret: "" is not right, expected at least one character' }
      : { kind: "secret", secret: jwtSecret };
  }
  const wrong = (why: string): ReadSecret => ({
    kind: "fault",
    fault: `--jwt-secret-file: ${jwtSecretFile} is not right, expected a readable file with a secret in it (${why})`,
  });
  try {
    const secret = readFileSync(jwtSecretFile, "utf8").trim();
    return secret === "" ? wrong("it is empty") : { kind: "secret", secret };
  } catch (cause) {
    return wrong((cause as Error).message);
  }
}
