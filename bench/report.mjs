/** What one benchmark found.
 * @typedef {object} Result
 * @property {string} title
 * @property {readonly { label: string, ours: number, ws: number, digits: number }[]} rows medians
 * @property {{ label: string, value: number, spread: readonly number[] }} ratio the median of the pairs' ratios, and each of them
 * @property {{ label: string, isMet: boolean }} target
 */

/** @param {number} value @param {number} digits */
const figure = (value, digits) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** @param {Result} result */
export function printResult({ title, rows, ratio, target }) {
  process.stdout.write(`\n${title}\n`);
  process.stdout.write(`  ${"".padEnd(32)}${"pushfleet".padStart(12)}${"ws".padStart(12)}\n`);
  for (const { label, ours, ws, digits } of rows) {
    process.stdout.write(`  ${label.padEnd(32)}${figure(ours, digits).padStart(12)}${figure(ws, digits).padStart(12)}\n`);
  }
  const spread = ratio.spread.map((value) => figure(value, 2)).join(", ");
  process.stdout.write(`  target ${target.label}: ${target.isMet ? "met" : "missed"}\n`);
  process.stdout.write(`ratio ${ratio.label} = ${figure(ratio.value, 2)}  (pairs: ${spread})\n`);
}

/** What a benchmark without a pair found: figures, some with a target, and a table.
 * @typedef {object} Figures
 * @property {string} title
 * @property {readonly { label: string, value: number, digits: number, target?: { label: string, isMet: boolean } }[]} figures
 * @property {{ title: string, columns: readonly string[], lines: readonly (readonly number[])[] }} table
 */

/** @param {Figures} result */
export function printFigures({ title, figures, table }) {
  process.stdout.write(`\n${title}\n`);
  for (const { label, value, digits, target } of figures) {
    const told = target === undefined ? "" : `  target ${target.label}: ${target.isMet ? "met" : "missed"}`;
    process.stdout.write(`  ${label.padEnd(46)}${figure(value, digits).padStart(10)}${told}\n`);
  }
  process.stdout.write(`${table.title}\n  ${table.columns.map((column) => column.padStart(12)).join("")}\n`);
  for (const line of table.lines) {
    const cells = line.map((value) => figure(value, Number.isInteger(value) ? 0 : 1).padStart(12));
    process.stdout.write(`  ${cells.join("")}\n`);
  }
}
