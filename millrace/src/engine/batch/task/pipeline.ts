/** The operators of one task, put together from the steps of its stage: from the ends to the root. */
import { assert, MillraceError } from '../../../core/errors.ts';
import { whereCondition, selectColumns, explodeColumn } from '../operators/row-functions.ts';
import type { Plan, PlanNode, WriteNode } from '../../../flow/plan.ts';
import type { SinkWriter } from '../../../flow/sink.ts';
import type { RunStorage } from '../exchange.ts';
import type { BroadcastSide } from '../joins/broadcast-side.ts';
import { BroadcastTable } from '../joins/broadcast-table.ts';
import type { Exit } from '../operators/exit.ts';
import type { Failures } from '../operators/failures.ts';
import {
  FilterOperator,
  FlatMapOperator,
  KeyByOperator,
  MapOperator,
  TapOperator,
  WithOperator,
} from '../operators/functions.ts';
import { BroadcastJoinOperator, PairOperator } from '../operators/join-operators.ts';
import { openExit } from '../operators/open-exit.ts';
import { fork, type Operator } from '../operators/operator.ts';
import { SampleOperator } from '../operators/sample-operator.ts';
import { SinkExit } from '../operators/sink-exit.ts';
import type { Stage, StageGraph, Step, TaskWrite } from '../stage.ts';
import { batchNode } from '../planning/batch-node.ts';

export interface PipelineOptions {
  readonly plan: Plan;
  readonly graph: StageGraph;
  readonly stage: Stage;
  /** Those of the task, for the steps that write. */
  readonly writes: readonly TaskWrite[];
  /** Bytes for each exit. */
  readonly exitBytes: number;
  readonly storage: RunStorage;
  readonly failures: Failures;
  /** Side data, by exchange. */
  readonly broadcasts: ReadonlyMap<number, BroadcastSide | BroadcastTable>;
  openSink(
    node: PlanNode & { readonly kind: 'write' },
    write: TaskWrite,
  ): SinkWriter<unknown, unknown>;
}

export interface Pipeline {
  /** Takes the records of the input. */
  readonly first: Operator;
  /** Takes what a step gives, which is not an end of the stage. */
  readonly behind: (step: number) => Operator;
  /** Takes the pairs, when the root is a join of two exchanges. */
  readonly pairs: PairOperator | undefined;
  readonly exits: readonly { readonly lane: number; readonly exit: Exit }[];
  readonly sinks: readonly { readonly write: TaskWrite; readonly exit: SinkExit }[];
}

export function buildPipeline(options: PipelineOptions): Pipeline {
  return new PipelineBuilder(options).build();
}

class PipelineBuilder {
  private readonly options: PipelineOptions;
  private readonly exits: { readonly lane: number; readonly exit: Exit }[] = [];
  private readonly sinks: { readonly write: TaskWrite; readonly exit: SinkExit }[] = [];
  /** Writes that have no step yet: steps and writes come in the same order. */
  private readonly writes: TaskWrite[];

  constructor(options: PipelineOptions) {
    this.options = options;
    this.writes = [...options.writes];
  }

  build(): Pipeline {
    const { stage, plan, failures } = this.options;
    const operators = new Map<number, Operator>();
    const behind = new Map<number, Operator>();
    const steps = [...stage.steps.entries()];
    for (const [index, step] of steps)
      if (step.exchange !== undefined) operators.set(index, this.exit(step, step.exchange));
    // Sinks come last, since they have to be closed when anything else fails.
    for (const [index, step] of steps) {
      const node = plan.nodes[step.node];
      if (step.exchange === undefined && node?.kind === 'write')
        operators.set(index, this.sink(node));
    }
    let pairs: PairOperator | undefined;
    for (const [index, step] of steps.toReversed()) {
      if (operators.has(index)) continue;
      const takers = steps.filter(([, { parent }]) => parent === index);
      const next = fork(takers.flatMap(([at]) => operators.get(at) ?? []));
      behind.set(index, next);
      const node = plan.nodes[step.node];
      assert(node !== undefined, `the plan has no node ${step.node}`);
      if (index > 0) operators.set(index, this.operator(node, next));
      else if (node.kind === 'join') {
        pairs = new PairOperator(node, next, failures);
        operators.set(0, pairs);
      } else operators.set(0, next);
    }
    const first = operators.get(0);
    assert(first !== undefined, `stage ${stage.id} has no root`);
    return {
      first,
      behind: (step) => behind.get(step) ?? first,
      pairs,
      exits: this.exits,
      sinks: this.sinks,
    };
  }

  private exit(step: Step, id: number): Operator {
    const { plan, graph, exitBytes, storage, failures } = this.options;
    const node = plan.nodes[step.node];
    const exchange = graph.exchanges[id];
    assert(node !== undefined && exchange !== undefined, `no exchange ${id}`);
    const opened = openExit({ exchange, node, memoryBytes: exitBytes, storage, failures });
    this.exits.push({ lane: step.lane, exit: opened.exit });
    return opened.operator;
  }

  private sink(node: WriteNode): Operator {
    const write = this.writes.shift();
    assert(write?.node === node.id, `${node.name} is not written to`);
    const writer = this.options.openSink(node, write);
    const exit = new SinkExit(node.name, writer, this.options.failures);
    this.sinks.push({ write, exit });
    return exit;
  }

  private operator(given: PlanNode, next: Operator): Operator {
    const { failures } = this.options;
    const node = batchNode(given);
    const { name } = node;
    switch (node.kind) {
      case 'map':
        return new MapOperator({ name, fn: node.fn, next, failures }, node.keepsKey);
      case 'flatMap':
        return new FlatMapOperator({ name, fn: node.fn, next, failures }, node.keepsKey);
      case 'filter':
        return new FilterOperator({ name, fn: node.fn, next, failures });
      case 'tap':
        return new TapOperator({ name, fn: node.fn, next, failures });
      case 'keyBy':
        return new KeyByOperator({ name, fn: node.fn, next, failures });
      case 'sample':
        return new SampleOperator(node, next, failures);
      case 'where':
        return new FilterOperator({ name, fn: whereCondition(node), next, failures });
      case 'select':
        return new MapOperator({ name, fn: selectColumns(node), next, failures }, false);
      case 'explode':
        return new FlatMapOperator({ name, fn: explodeColumn(node), next, failures }, false);
      case 'with': {
        const side = this.broadcast(node.inputs[1] ?? -1);
        return new WithOperator({ name, next, failures }, node.fn, side, node.keepsKey);
      }
      case 'join': {
        const table = this.broadcast(node.id);
        assert(table instanceof BroadcastTable, `${name} has no broadcast`);
        return new BroadcastJoinOperator(node, table, next, failures);
      }
      case 'union':
        return next;
      case 'aggregate':
      case 'broadcast':
      case 'columnAggregate':
      case 'group':
      case 'iterate':
      case 'iterationInput':
      case 'sort':
      case 'source':
      case 'top':
      case 'write':
        throw new MillraceError('ML_ASSERT', `${name} is not fused`);
    }
  }

  /** The side data that is read for node `id`. */
  private broadcast(id: number): BroadcastSide | BroadcastTable {
    const { graph, broadcasts } = this.options;
    const exchange = graph.exchanges.find((into) => into.node === id && into.kind === 'broadcast');
    const side = broadcasts.get(exchange?.id ?? -1);
    assert(side !== undefined, `the broadcast of node ${id} was not loaded`);
    return side;
  }
}
