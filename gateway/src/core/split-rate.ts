/** Splits a grant over the workers of a gateway in proportion to the connections each has still to move, in whole moves a second: a worker
 *  never moves more than the whole part of its rate in a second, so fractions would be lost, and below one a second they would add up
 *  to more than the grant. The sum never exceeds `perSecond`; a grant below one a second goes to the fullest worker alone. */
export function splitRate(perSecond: number, remaining: readonly number[]): readonly number[] {
  const total = remaining.reduce((sum, count) => sum + count, 0);
  if (total === 0 || !(perSecond > 0)) return remaining.map(() => 0);
  const fullest = remaining.indexOf(Math.max(...remaining));
  if (perSecond < 1) return remaining.map((_, index) => (index === fullest ? perSecond : 0));
  const whole = Math.floor(perSecond);
  const exact = remaining.map((count) => (whole * count) / total);
  const shares = exact.map(Math.floor);
  let left = whole - shares.reduce((sum, share) => sum + share, 0);
  const byRest = exact.map((share, index) => ({ index, rest: share - Math.floor(share) })).sort((a, b) => b.rest - a.rest);
  for (const { index } of byRest) {
    if (left <= 0) break;
    if ((remaining[index] ?? 0) === 0) continue;
    shares[index] = (shares[index] ?? 0) + 1;
    left -= 1;
  }
  return shares;
}
