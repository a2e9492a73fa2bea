/** One line on what a node that knows of time does, for `millrace plan`. */
import { explainFunction } from './explain-expression.ts';
import type { StreamNode } from './stream-nodes.ts';
import type { EmitPolicy, WindowSpec } from './windows.ts';

export function explainStreamNode(node: StreamNode): string {
  switch (node.kind) {
    case 'table':
      return `${node.scope === 'global' ? 'all of it in every task' : 'latest value per key'}${lasting('history', node.historyMs)}${lasting('forgotten after', node.ttlMs)}`;
    case 'toStream':
      return '';
    case 'windowAggregate':
      return `${windowText(node.window)}, ${emitText(node.emit)}: ${node.builtin ?? explainFunction(node.add)}`;
    case 'tableAggregate':
      return `by ${explainFunction(node.by)}: ${node.builtin ?? explainFunction(node.add)}`;
    case 'windowJoin':
      return `${node.type}, right from ${node.beforeMs} ms before to ${node.afterMs} ms after, grace ${node.graceMs} ms`;
    case 'tableJoin':
      return `${node.type}, ${node.sides}`;
    case 'foreignJoin':
      return `${node.type}, by ${explainFunction(node.foreignKey)}`;
    case 'globalJoin':
      return `${node.type}, by ${explainFunction(node.lookupKey)}`;
    case 'process':
      return `${explainFunction(node.onRecord)}${lasting('forgotten after', node.ttlMs)}`;
    case 'asyncMap':
      return `${node.concurrency} at a time, ${node.timeoutMs} ms each: ${explainFunction(node.fn)}`;
    case 'pattern':
      return `${node.pattern.steps.map(({ name }) => name).join(', ')}${lasting('within', node.pattern.withinMs)}`;
    case 'dedupe':
      return `by ${explainFunction(node.by)}, within ${node.withinMs} ms`;
    case 'sideOutput':
      return node.output === 'late' ? 'what came too late' : 'what ran out of time';
  }
}

function lasting(what: string, ms: number | undefined): string {
  return ms === undefined ? '' : `, ${what} ${ms} ms`;
}

function windowText(window: WindowSpec): string {
  const grace = window.graceMs === 0 ? '' : `, grace ${window.graceMs} ms`;
  switch (window.kind) {
    case 'session':
      return `sessions with gaps of at most ${window.gapMs} ms${grace}`;
    case 'hopping':
      return `hopping ${window.sizeMs} ms every ${window.everyMs} ms${grace}`;
    case 'tumbling':
    case 'sliding':
      return `${window.kind} ${window.sizeMs} ms${grace}`;
  }
}

function emitText(emit: EmitPolicy): string {
  switch (emit.kind) {
    case 'close':
      return 'at close';
    case 'changes':
      return 'at every change';
    case 'every':
      return `every ${emit.everyMs} ms`;
  }
}
