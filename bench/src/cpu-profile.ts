/**
 * Reading of V8's CPU profiles (`node --cpu-prof`). Pure.
 *
 * Source: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile
 */

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      /** From 0. */
      readonly lineNumber: number;
      /** From 0. */
      readonly columnNumber: number;
    };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds between a sample and the one before it. */
  readonly timeDeltas: readonly number[];
}

interface FunctionTime {
  readonly name: string;
  /** `file:line`, or empty for what V8 itself does. */
  readonly place: string;
  /** Milliseconds in the function itself. */
  readonly selfMs: number;
  /** Milliseconds in the function and all that it called; recursion counts once. */
  readonly totalMs: number;
}

export interface ProfileSummary {
  /** Milliseconds in which the thread did anything. */
  readonly busyMs: number;
  readonly idleMs: number;
  /** By self time, the most expensive first. */
  readonly functions: readonly FunctionTime[];
}

const IDLE = '(idle)';
const ROOT = '(root)';

/** Makes `file:line` of a script's URL, line and column (from 0). */
export type Locate = (url: string, line: number, column: number) => string;

export function summariseProfile(profile: CpuProfile, locate: Locate): ProfileSummary {
  const selfOfNode = new Map<number, number>();
  for (const [index, id] of profile.samples.entries()) {
    // The delta before a sample is the best guess at how long the sample stands for.
    const ms = Math.max(0, profile.timeDeltas[index] ?? 0) / 1000;
    selfOfNode.set(id, (selfOfNode.get(id) ?? 0) + ms);
  }
  const tallies = tallyFunctions(profile, selfOfNode, locate);
  const idleMs = tallies.get(`${IDLE} `)?.selfMs ?? 0;
  const functions = [...tallies.values()]
    .filter(({ name }) => name !== IDLE && name !== ROOT)
    .sort((a, b) => b.selfMs - a.selfMs);
  const busyMs = functions.reduce((sum, { selfMs }) => sum + selfMs, 0);
  return { busyMs, idleMs, functions };
}

interface Tally {
  readonly name: string;
  readonly place: string;
  selfMs: number;
  totalMs: number;
}

function tallyFunctions(
  profile: CpuProfile,
  selfOfNode: ReadonlyMap<number, number>,
  locate: Locate,
): Map<string, Tally> {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const tallies = new Map<string, Tally>();
  /** Returns the total time of the node; `open` holds the functions above it on the stack. */
  const visit = (id: number, open: ReadonlySet<string>): number => {
    const node = nodes.get(id);
    if (node === undefined) return 0;
    const { functionName, url, lineNumber, columnNumber } = node.callFrame;
    const name = functionName === '' ? '(anonymous)' : functionName;
    const place = url === '' ? '' : locate(url, lineNumber, columnNumber);
    const key = `${name} ${place}`;
    const tally = tallies.get(key) ?? { name, place, selfMs: 0, totalMs: 0 };
    tallies.set(key, tally);
    const selfMs = selfOfNode.get(id) ?? 0;
    const below = new Set(open).add(key);
    let totalMs = selfMs;
    for (const child of node.children ?? []) totalMs += visit(child, below);
    tally.selfMs += selfMs;
    if (!open.has(key)) tally.totalMs += totalMs;
    return totalMs;
  };
  const rootId = profile.nodes[0]?.id;
  if (rootId !== undefined) visit(rootId, new Set());
  return tallies;
}
