/** Under this name the operator writes: the API server says of each field who wrote it. */
export const fieldManager = "pushfleet-operator";
