export { type Authority, createAuthority, type Owner, type ReadAuthority, readAuthority } from "./authority.js";
export { type Authorities, buildAuthoritySecret, readAuthoritySecret, type Secret, trustBundle } from "./authority-secret.js";
export { issueLeaf, type Leaf, type LeafWish } from "./leaf.js";
export { certificateLabel, gatewayLeaf, readLeafSecret, routerLeaf, type WantedLeaf } from "./leaf-secret.js";
export * from "./plan-certificates.js";
export { type AuthorityStep, type LeafStep, planAuthority, planLeaf, renewAtMs } from "./rotation.js";
