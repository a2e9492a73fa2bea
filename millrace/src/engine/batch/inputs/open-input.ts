/** Which input the root of a stage has. */
import { assert, MillraceError } from '../../../core/errors.ts';
import { rowAggregation } from '../operators/row-functions.ts';
import type { JoinNode, JoinStrategy, PlanNode } from '../../../flow/plan.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';
import { createMergeReader } from '../exchange/merge-reader.ts';
import { HashJoin } from '../joins/hash-join.ts';
import type { JoinOptions } from '../joins/join-options.ts';
import { SortMergeJoin } from '../joins/sort-merge-join.ts';
import type { TaskMemory } from '../task/memory.ts';
import type { Failures } from '../operators/failures.ts';
import type { EmitPair } from '../record-input.ts';
import type { ExchangeRead } from '../stage.ts';
import { AggregateInput } from './aggregate-input.ts';
import { GroupInput } from './group-input.ts';
import { JoinInput } from './join-input.ts';
import { KeyInput, SortedInput } from './record-inputs.ts';
import type { TaskInput } from './task-input.ts';
import { batchNode } from '../planning/batch-node.ts';

export interface OpenInputOptions {
  readonly node: PlanNode;
  readonly reads: readonly ExchangeRead[];
  readonly storage: RunStorage;
  readonly memory: TaskMemory;
  readonly failures: Failures;
}

/** The input of a root that reads one exchange. */
export function openInput(options: OpenInputOptions): TaskInput {
  const { failures } = options;
  const node = batchNode(options.node);
  const reader = openReader(options, 0);
  switch (node.kind) {
    case 'aggregate':
      return new AggregateInput(node.name, reader, { ...node, keepsKey: node.isKeyed }, failures);
    case 'columnAggregate': {
      const isKeyed = node.by.length > 0;
      const reduction = { ...rowAggregation(node), isKeyed, keepsKey: false };
      return new AggregateInput(node.name, reader, reduction, failures);
    }
    case 'group':
      return new GroupInput(reader, node, failures);
    case 'sort':
      return new SortedInput(node.name, reader, Number.POSITIVE_INFINITY);
    case 'top':
      return new SortedInput(node.name, reader, node.count);
    case 'write':
      return new KeyInput(node.name, reader);
    case 'broadcast':
    case 'iterate':
    case 'join':
    case 'explode':
    case 'filter':
    case 'flatMap':
    case 'iterationInput':
    case 'keyBy':
    case 'map':
    case 'sample':
    case 'select':
    case 'source':
    case 'tap':
    case 'union':
    case 'where':
    case 'with':
      throw new MillraceError('ML_ASSERT', `${node.name} reads no exchange`);
  }
}

/** The input of a join of two exchanges, whose pairs go to `pair`. */
export function openJoin(
  options: OpenInputOptions & {
    readonly node: JoinNode;
    readonly strategy: JoinStrategy;
    readonly pair: EmitPair;
  },
): TaskInput {
  const { node, strategy } = options;
  const joinOptions: JoinOptions = {
    name: node.name,
    type: node.type,
    left: () => openReader(options, 0),
    right: () => openReader(options, 1),
    memoryBytes: options.memory.root,
    storage: options.storage,
  };
  const runner =
    strategy === 'partitioned-hash' ? new HashJoin(joinOptions) : new SortMergeJoin(joinOptions);
  return new JoinInput(node, runner, options.pair);
}

export function openReader(options: OpenInputOptions, input: number): MergeReader {
  const read = options.reads[input];
  assert(read !== undefined, `${options.node.name} has no input ${input}`);
  return createMergeReader({
    read,
    storage: options.storage,
    memoryBytes: options.memory.reader,
  });
}
