/**
 * How a join is done when the program does not say, and why. Depends on the plan and the input alone: the strategies differ in the
 * order of their output, so neither the number of workers nor the size of splits may change the choice.
 */
import { MillraceError } from '../../../core/errors.ts';
import { BROADCAST_BYTES_MAX, BROADCAST_MEMORY_SHARE } from '../../../core/limits.ts';
import type { JoinNode, JoinStrategy, Plan } from '../../../flow/plan.ts';
import type { PlanFacts } from '../stage.ts';
import { formatBytes } from './format-bytes.ts';
import { keepsRight } from './join-options.ts';

/** What is known of a side before anything runs. */
export interface JoinSideSize {
  /** At most so many bytes of input are behind it; undefined when that is not known, or operators may make it larger. */
  readonly bytes: number | undefined;
  /** Where it comes from, for people: `lines users.csv`. */
  readonly label: string;
}

export interface JoinDecision {
  readonly strategy: JoinStrategy;
  /** For people: `csv users.csv has 1.2 MB: broadcast`. */
  readonly reason: string;
}

/**
 * Forced by the program, else broadcast when the right side is known to be small and the type permits it, else sort-merge.
 * @throws {MillraceError} ML_FLOW_INVALID when the program forces what cannot be done
 */
export function chooseJoin(node: JoinNode, facts: PlanFacts, right: JoinSideSize): JoinDecision {
  if (node.strategy !== undefined) return forced(node, node.strategy);
  const bytesMax = Math.min(BROADCAST_BYTES_MAX, facts.memoryBytes / BROADCAST_MEMORY_SHARE);
  const { bytes, label } = right;
  if (bytes === undefined) return { strategy: 'sort-merge', reason: `${label}: size not known` };
  const size = formatBytes(bytes);
  if (keepsRight(node.type))
    return {
      strategy: 'sort-merge',
      reason: `a ${node.type} join keeps rows of the right side, which a broadcast cannot`,
    };
  if (bytes <= bytesMax)
    return { strategy: 'broadcast-hash', reason: `${label} has ${size}: broadcast` };
  return {
    strategy: 'sort-merge',
    reason: `${label} has ${size}, more than the ${formatBytes(bytesMax)} that are broadcast`,
  };
}

function forced(node: JoinNode, strategy: JoinStrategy): JoinDecision {
  if (strategy === 'broadcast-hash' && keepsRight(node.type))
    throw new MillraceError(
      'ML_FLOW_INVALID',
      `join ${node.name} is a ${node.type} join, which keeps right rows without a match: with a broadcast no task ` +
        'knows which those are',
      {
        fields: { operator: node.name },
        hint: "Leave the strategy out, take 'sort-merge' or 'partitioned-hash', or swap the sides for a left join",
      },
    );
  return { strategy, reason: 'asked for by the program' };
}

/**
 * The size of the stream that node `id` gives, as far as the sources tell: the sum of their bytes, when nothing on the way can
 * turn one record into many, and every source says its size. What is compressed counts COMPRESSION_RATIO times.
 */
export function sideSize(plan: Plan, id: number, facts: PlanFacts): JoinSideSize {
  const labels: string[] = [];
  let bytes: number | undefined = 0;
  const seen = new Set<number>();
  const waiting = [id];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const node = plan.nodes[at];
    if (node === undefined || seen.has(at)) continue;
    seen.add(at);
    if (node.kind === 'source') {
      labels.push(node.source.label);
      const sourceBytes = facts.sourceBytes[at] ?? 0;
      const ratio = isCompressed(node.source.format, node.source.paths) ? COMPRESSION_RATIO : 1;
      bytes = bytes === undefined || sourceBytes === 0 ? undefined : bytes + sourceBytes * ratio;
    } else if (MULTIPLIES.has(node.kind)) {
      labels.push(node.name);
      bytes = undefined;
    } else {
      // Only the first input of `with` becomes records; the other is side data.
      waiting.push(...(node.kind === 'with' ? node.inputs.slice(0, 1) : node.inputs));
    }
  }
  return { bytes, label: labels.join(', ') };
}

/** Operators that can make any number of records, or records of any size, of one. */
const MULTIPLIES: ReadonlySet<string> = new Set([
  'flatMap',
  'explode',
  'group',
  'join',
  'iterate',
  'iterationInput',
]);

/** What text becomes, at least as a rule, when it is decompressed. */
const COMPRESSION_RATIO = 8;

function isCompressed(format: string, paths: readonly string[]): boolean {
  return format === 'parquet' || paths.some((path) => /\.(?:gz|zst|parquet)$/.test(path));
}

/** No two records of node `id` have the same key: it is a table, or made of one by operators that keep keys and add nothing. */
export function hasUniqueKeys(plan: Plan, id: number): boolean {
  const node = plan.nodes[id];
  if (node === undefined) return false;
  const isKept =
    node.kind === 'filter' ||
    node.kind === 'tap' ||
    node.kind === 'sample' ||
    node.kind === 'sort' ||
    node.kind === 'top' ||
    ((node.kind === 'map' || node.kind === 'with') && node.keepsKey);
  if (node.kind === 'aggregate') return node.isKeyed;
  return isKept && hasUniqueKeys(plan, node.inputs[0] ?? -1);
}
