export { checkManifest, type Manifest, type ParsedManifest, parseManifest } from "./parse-manifest.js";
export { fillPools } from "./pool-replicas.js";
export { toFleetSpec } from "./to-fleet-spec.js";
