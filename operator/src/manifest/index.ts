export {
  checkManifest,
  type Manifest,
  type ParsedDocument,
  type ParsedManifest,
  type ParsedManifests,
  parseManifest,
  parseManifests,
} from "./parse-manifest.js";
export { fillPools } from "./pool-replicas.js";
export { parseQuantity } from "./quantity.js";
export { toFleetSpec } from "./to-fleet-spec.js";
