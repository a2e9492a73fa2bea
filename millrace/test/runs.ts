/**
 * How often a test does what it does many times: `count` times MILLRACE_RUNS, which is 1 unless somebody wants longer runs
 * (`MILLRACE_RUNS=10 npx vitest run …`). At least once.
 */
export function runs(count: number): number {
  return Math.max(1, Math.round(count * Number(process.env['MILLRACE_RUNS'] ?? 1)));
}
