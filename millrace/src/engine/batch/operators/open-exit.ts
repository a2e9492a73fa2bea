/** Which exit each operator needs before its exchange. */
import { MillraceError } from '../../../core/errors.ts';
import { SAMPLE_RECORDS } from '../../../core/limits.ts';
import { rowAggregation } from './row-functions.ts';
import type { PlanNode } from '../../../flow/plan.ts';
import { createExchangeWriter } from '../exchange/exchange-writer.ts';
import type { ExchangeWriter, RunStorage } from '../exchange.ts';
import type { Exchange } from '../stage.ts';
import { AggregateExit, CountExit, FoldExit } from './aggregate-exit.ts';
import type { Exit, ExitOptions } from './exit.ts';
import type { Failures } from './failures.ts';
import { KeyByOperator } from './functions.ts';
import { CombinedGroupExit } from './group-exit.ts';
import type { Operator } from './operator.ts';
import { KeyExit, SortedGroupExit, SortExit } from './record-exits.ts';
import { TopExit } from './top-exit.ts';
import { batchNode } from '../planning/batch-node.ts';

export interface OpenExitOptions {
  readonly exchange: Exchange;
  /** The node that the exchange is for. */
  readonly node: PlanNode;
  readonly memoryBytes: number;
  readonly storage: RunStorage;
  readonly failures: Failures;
}

/** An exit, and the operator that records are pushed into: the exit itself, but where they need a key first. */
export interface OpenedExit {
  readonly exit: Exit;
  readonly operator: Operator;
}

export function openExit(options: OpenExitOptions): OpenedExit {
  const { exchange, node, failures } = options;
  // What aggregates before the exchange needs half of the memory for its table.
  const hasTable = exchange.isCombined && exchange.kind === 'hash';
  const memoryBytes = hasTable ? Math.floor(options.memoryBytes / 2) : options.memoryBytes;
  const exitOptions: ExitOptions = {
    name: node.name,
    writer: openWriter(exchange, node, memoryBytes, options.storage),
    partitions: exchange.partitions,
    memoryBytes,
    failures,
  };
  if (node.kind === 'columnAggregate') {
    const aggregation = rowAggregation(node);
    if (exchange.kind === 'gather') return alone(new FoldExit(exitOptions, aggregation));
    const exit = new AggregateExit(exitOptions, aggregation);
    const { key: fn } = aggregation;
    return { exit, operator: new KeyByOperator({ name: node.name, fn, next: exit, failures }) };
  }
  return alone(exitFor(node, exitOptions));
}

function openWriter(
  exchange: Exchange,
  node: PlanNode,
  memoryBytes: number,
  storage: RunStorage,
): ExchangeWriter {
  // Samples are for the boundaries of a sort, and for the hot keys of a join that merges and may share them.
  const isSplit = node.kind === 'join' && node.splitsHotKeys && exchange.isSorted;
  const isSampled = exchange.kind === 'range' || isSplit;
  return createExchangeWriter({
    exchange: exchange.id,
    name: node.name,
    partitions: exchange.partitions,
    isSorted: exchange.isSorted,
    sampleRecords: isSampled ? SAMPLE_RECORDS : 0,
    memoryBytes,
    storage,
  });
}

function exitFor(given: PlanNode, options: ExitOptions): Exit {
  const node = batchNode(given);
  switch (node.kind) {
    case 'aggregate':
      if (node.merge === undefined) return new KeyExit(options);
      if (!node.isKeyed) return new FoldExit(options, node);
      return node.builtin === 'count' ? new CountExit(options) : new AggregateExit(options, node);
    case 'group': {
      const target =
        node.sortValuesBy === undefined
          ? new KeyExit(options)
          : new SortedGroupExit(options, node.sortValuesBy);
      return node.combine === undefined
        ? target
        : new CombinedGroupExit(options, node.combine, target);
    }
    case 'sort':
      return new SortExit(options, node.order);
    case 'top':
      return new TopExit(options, node.count, node.order);
    case 'join':
    case 'broadcast':
    case 'iterate':
    case 'write':
      return new KeyExit(options);
    case 'columnAggregate':
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
      throw new MillraceError('ML_ASSERT', `${node.name} needs no exchange`);
  }
}

function alone(exit: Exit): OpenedExit {
  return { exit, operator: exit };
}
