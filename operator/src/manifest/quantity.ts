const suffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity of Kubernetes ("500m", 2, "4Gi", "1e3") as a number of cores or bytes. `undefined`: it is none. */
export function parseQuantity(quantity: number | string): number | undefined {
  if (typeof quantity === "number") return quantity;
  const [, digits, exponent, suffix = ""] = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(quantity) ?? [];
  const factor = suffixes[suffix];
  return digits === undefined || factor === undefined ? undefined : Number(`${digits}${exponent ?? ""}`) * factor;
}

/** 0 also where they differ by what a double cannot tell: 300m is 0.3. */
export function compareQuantities(one: number, other: number): -1 | 0 | 1 {
  if (Math.abs(one - other) <= 1e-12 * Math.max(Math.abs(one), Math.abs(other))) return 0;
  return one < other ? -1 : 1;
}
