import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { ExampleAuthority } from "./certificates.js";

/** An admission webhook that takes every request and answers none, as one whose backend is gone behind a balancer. */
export class SilentWebhook {
  readonly #close: () => Promise<void>;
  readonly #clientConfig: object;

  private constructor(clientConfig: object, close: () => Promise<void>) {
    this.#clientConfig = clientConfig;
    this.#close = close;
  }

  static async start(): Promise<SilentWebhook> {
    const authority = await ExampleAuthority.create("webhook");
    const { cert, key, ca } = await authority.issue({ hosts: ["localhost"] });
    const server = createServer({ cert, key }, () => {});
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const { port } = server.address() as AddressInfo;
    const clientConfig = { url: `https://localhost:${port}/silent`, caBundle: Buffer.from(ca).toString("base64") };
    return new SilentWebhook(clientConfig, async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  /** Asks it about every write of a built-in kind in `namespace`, for as long as the API allows. */
  configuration(namespace: string): object {
    const apiGroups = ["", "apps", "policy", "networking.k8s.io", "events.k8s.io"];
    const rules = [{ apiGroups, apiVersions: ["*"], operations: ["CREATE", "UPDATE", "DELETE"], resources: ["*/*"], scope: "Namespaced" }];
    const webhook = {
      ...{ name: "silent.pushfleet.test", admissionReviewVersions: ["v1"], sideEffects: "None", failurePolicy: "Fail", timeoutSeconds: 30 },
      ...{ rules, clientConfig: this.#clientConfig },
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
    };
    return {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: `silent-${namespace}` },
      webhooks: [webhook],
    };
  }

  async stop(): Promise<void> {
    await this.#close();
  }
}
