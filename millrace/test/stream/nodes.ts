/** Nodes of a plan, as tests of operators need them. */
import type { AggregateNode, PlanNode } from '../../src/flow/plan.ts';
import type {
  ProcessNode,
  TableAggregateNode,
  TableNode,
  WindowAggregateNode,
} from '../../src/flow/stream-nodes.ts';
import type { EmitPolicy, WindowSpec } from '../../src/flow/windows.ts';

const BASE = { id: 1, name: 'node', inputs: [0] } as const;

/** Any node: its own fields, the kind among them. */
export function nodeOf(fields: object): PlanNode {
  return { ...BASE, ...fields } as unknown as PlanNode;
}

export function countNode(
  window: WindowSpec,
  emit: EmitPolicy['kind'] = 'close',
): WindowAggregateNode {
  return windowNode(window, emit, {
    init: () => 0,
    add: (count) => (count as number) + 1,
    merge: (left, right) => (left as number) + (right as number),
    builtin: 'count',
  });
}

export function sumNode(
  window: WindowSpec,
  emit: EmitPolicy['kind'] = 'close',
): WindowAggregateNode {
  return windowNode(window, emit, {
    init: () => 0,
    add: (sum, value) => (sum as number) + (value as number),
    merge: (left, right) => (left as number) + (right as number),
  });
}

/** All values in one list, which is changed in place. */
export function listNode(
  window: WindowSpec,
  emit: EmitPolicy['kind'] = 'close',
): WindowAggregateNode {
  return windowNode(window, emit, {
    init: () => [],
    add: (list, value) => {
      (list as unknown[]).push(value);
      return list;
    },
    merge: (left, right) => {
      const [before, behind] = [left as unknown[], right as unknown[]];
      // Either of them may be changed, and kept.
      if (before.length <= behind.length) return behind.unshift(...before), behind;
      before.push(...behind);
      return before;
    },
  });
}

export function windowNode(
  window: WindowSpec,
  emit: EmitPolicy['kind'],
  aggregation: Pick<WindowAggregateNode, 'init' | 'add'> & Partial<WindowAggregateNode>,
): WindowAggregateNode {
  return {
    ...BASE,
    kind: 'windowAggregate',
    isTable: true,
    window,
    merge: undefined,
    finish: undefined,
    builtin: undefined,
    emit: emit === 'every' ? { kind: 'every', everyMs: 1_000 } : { kind: emit },
    ...aggregation,
  };
}

export function aggregateNode(
  aggregation: Pick<AggregateNode, 'init' | 'add'> & Partial<AggregateNode>,
): AggregateNode {
  return {
    ...BASE,
    kind: 'aggregate',
    isTable: true,
    merge: undefined,
    finish: undefined,
    builtin: undefined,
    isKeyed: true,
    ...aggregation,
  };
}

export function tableNode(fields: Partial<TableNode> = {}): TableNode {
  return {
    ...BASE,
    kind: 'table',
    isTable: true,
    scope: 'partition',
    historyMs: undefined,
    ttlMs: undefined,
    ...fields,
  };
}

export function tableAggregateNode(
  aggregation: Pick<TableAggregateNode, 'by' | 'init' | 'add' | 'subtract'> &
    Partial<TableAggregateNode>,
): TableAggregateNode {
  return {
    ...BASE,
    kind: 'tableAggregate',
    isTable: true,
    finish: undefined,
    builtin: undefined,
    ...aggregation,
  };
}

export function processNode(
  fields: Pick<ProcessNode, 'onRecord'> & Partial<ProcessNode>,
): ProcessNode {
  return { ...BASE, kind: 'process', onTimer: undefined, ttlMs: undefined, ...fields };
}
