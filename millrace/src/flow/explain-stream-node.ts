/** One line on what a node that knows of time does, for `millrace plan`. */
import { durationText } from './durations.ts';
import { explainFunction } from './explain-expression.ts';
import type { Contiguity, PatternSpec, PatternStep } from './patterns.ts';
import type { StreamNode, WindowJoinNode } from './stream-nodes.ts';
import type { EmitPolicy, WindowSpec } from './windows.ts';

/** What it is called. */
export function streamNodeKind(node: StreamNode): string {
  switch (node.kind) {
    case 'table':
      return node.scope === 'global' ? 'global table' : 'table';
    case 'toStream':
      return 'to stream';
    case 'windowAggregate':
    case 'tableAggregate':
      return node.builtin ?? 'aggregate';
    case 'windowJoin':
      return `${node.type} join`;
    case 'tableJoin':
      return `${node.type} join`;
    case 'foreignJoin':
      return `${node.type} foreign join`;
    case 'globalJoin':
      return `${node.type} global join`;
    case 'asyncMap':
      return node.keepsKey ? 'map values async' : 'map async';
    case 'sideOutput':
      return node.output === 'late' ? 'late' : 'timed out';
    case 'process':
    case 'pattern':
    case 'dedupe':
      return node.kind;
  }
}

export function explainStreamNode(node: StreamNode): string {
  switch (node.kind) {
    case 'table':
      return joined([
        node.scope === 'global' ? 'all of it in every task' : 'latest value per key',
        lasting('versions of', node.historyMs),
        lasting('forgotten after', node.ttlMs),
      ]);
    case 'toStream':
      return 'its changes';
    case 'windowAggregate':
      return joined([
        `per key and ${windowText(node.window)}`,
        lasting('grace', node.window.graceMs === 0 ? undefined : node.window.graceMs),
        emitText(node.emit),
        node.builtin === undefined ? explainFunction(node.add) : '',
      ]);
    case 'tableAggregate':
      return joined([
        `by ${explainFunction(node.by)}`,
        node.builtin === undefined
          ? `${explainFunction(node.add)}, taken out again by ${explainFunction(node.subtract)}`
          : '',
      ]);
    case 'windowJoin':
      return joined([
        `streams, ${nearText(node)}`,
        lasting('grace', node.graceMs === 0 ? undefined : node.graceMs),
      ]);
    case 'tableJoin':
      return node.sides === 'table-table' ? 'two tables' : 'a stream with a table';
    case 'foreignJoin':
      return `two tables, by ${explainFunction(node.foreignKey)}`;
    case 'globalJoin':
      return `by ${explainFunction(node.lookupKey)}`;
    case 'process':
      return joined([explainFunction(node.onRecord), lasting('forgotten after', node.ttlMs)]);
    case 'asyncMap':
      return joined([
        explainFunction(node.fn),
        `${node.concurrency} at a time`,
        `${durationText(node.timeoutMs)} each`,
        node.attempts === 1 ? '' : `${node.attempts} times at most`,
      ]);
    case 'pattern':
      return joined([patternText(node.pattern), lasting('within', node.pattern.withinMs)]);
    case 'dedupe':
      return `once in ${durationText(node.withinMs)}, by ${explainFunction(node.by)}`;
    case 'sideOutput':
      return node.output === 'late' ? 'what came too late' : 'what ran out of time';
  }
}

function joined(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(', ');
}

function lasting(what: string, ms: number | undefined): string {
  return ms === undefined ? '' : `${what} ${durationText(ms)}`;
}

function windowText(window: WindowSpec): string {
  switch (window.kind) {
    case 'session':
      return `session with gaps of at most ${durationText(window.gapMs)}`;
    case 'hopping':
      return `window of ${durationText(window.sizeMs)}, a new one every ${durationText(window.everyMs)}`;
    case 'sliding':
      return `sliding window of ${durationText(window.sizeMs)}`;
    case 'tumbling':
      return `window of ${durationText(window.sizeMs)}`;
  }
}

function emitText(emit: EmitPolicy): string {
  switch (emit.kind) {
    case 'close':
      return 'when it is closed';
    case 'changes':
      return 'at every change';
    case 'every':
      return `every ${durationText(emit.everyMs)}`;
  }
}

function nearText({ beforeMs, afterMs }: WindowJoinNode): string {
  if (beforeMs === afterMs) return `at most ${durationText(beforeMs)} apart`;
  return `right from ${durationText(beforeMs)} before to ${durationText(afterMs)} after left`;
}

const FOLLOWING: Readonly<Record<Contiguity, string>> = {
  strict: 'next',
  relaxed: 'then',
  any: 'any later',
};

/** `small 1 or more, next large, then not refund`. */
function patternText({ steps }: PatternSpec): string {
  return steps
    .map((step, index) => {
      const how = index === 0 ? '' : `${FOLLOWING[step.contiguity]} `;
      return `${how}${step.isNegated ? 'not ' : ''}${step.name}${timesText(step)}`;
    })
    .join(', ');
}

function timesText({ timesMin, timesMax }: PatternStep): string {
  if (timesMin === 1 && timesMax === 1) return '';
  if (timesMin === timesMax) return ` ${timesMin} times`;
  return ` ${timesMin} to ${timesMax === Number.POSITIVE_INFINITY ? 'any number of' : timesMax} times`;
}
