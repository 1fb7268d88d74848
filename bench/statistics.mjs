/** @param {readonly number[]} values at least one */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Measures A and B in pairs, the order turned round each time, so that a slow minute of the machine hits both.
 * @template T
 * @param {number} count @param {() => Promise<T>} measureOurs @param {() => Promise<T>} measureWs
 * @returns {Promise<{ ours: T, ws: T }[]>} */
export async function measurePairs(count, measureOurs, measureWs) {
  const pairs = [];
  for (let i = 0; i < count; i++) {
    if (i % 2 === 0) {
      const ours = await measureOurs();
      pairs.push({ ours, ws: await measureWs() });
    } else {
      const ws = await measureWs();
      pairs.push({ ours: await measureOurs(), ws });
    }
  }
  return pairs;
}

/** The smallest value that at least this share of all does not exceed; NaN of none.
 * @param {readonly number[]} values @param {number} share */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
