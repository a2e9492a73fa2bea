/** Makes the operator of a node: the one place that knows them all. */
import { assert } from '../../../core/errors.ts';
import type { PlanNode, ValueFunction } from '../../../flow/plan.ts';
import {
  explodeColumn,
  selectColumns,
  whereCondition,
} from '../../batch/operators/row-functions.ts';
import { createAsyncMap } from '../async/async-map.ts';
import { createForeignJoin } from '../joins/foreign-join.ts';
import { createGlobalJoin } from '../joins/global-join.ts';
import { createTableJoin } from '../joins/table-join.ts';
import { createWindowJoin } from '../joins/window-join.ts';
import { createPattern } from '../patterns/pattern-operator.ts';
import type { StageNode } from '../topology.ts';
import { createAggregate, createColumnAggregate } from './aggregate.ts';
import { createDedupe } from './dedupe.ts';
import type { Operator, OperatorContext } from './operator.ts';
import { PassThrough } from './pass-through.ts';
import { Process } from './process.ts';
import { SampleStream } from './sample-stream.ts';
import {
  FilterStream,
  FlatMapStream,
  KeyByStream,
  MapStream,
  TapStream,
} from './stream-functions.ts';
import { LatestTable } from './table.ts';
import { Regroup, TableAggregate } from './table-aggregate.ts';
import { FilterTable, MapTable, TapTable } from './table-functions.ts';
import { VersionedTable } from './versioned-table.ts';
import { createWindowAggregate } from './windows/create-window-aggregate.ts';

type Role = StageNode['role'];
type Factories = {
  readonly [Kind in PlanNode['kind']]?: (
    context: OperatorContext<Extract<PlanNode, { readonly kind: Kind }>>,
    role: Role,
  ) => Operator;
};

/**
 * @param role which part of a node that runs in several stages (`topology.ts`); undefined: all of it
 * @throws {MillraceError} ML_ASSERT for a node that does not run over streams without end: planning has refused it
 */
export function createOperator(context: OperatorContext, role?: Role): Operator {
  const { node } = context;
  const create = FACTORIES[node.kind] as
    | ((context: OperatorContext, role: Role) => Operator)
    | undefined;
  assert(create !== undefined, `${node.kind} "${node.name}" runs over streams without end`);
  return create(context, role);
}

const FACTORIES: Factories = {
  map: (context) => {
    const { fn, keepsKey } = context.node;
    return isTable(context) ? new MapTable(context, fn) : new MapStream(context, fn, keepsKey);
  },
  filter: (context) => createFilter(context, context.node.fn),
  flatMap: (context) => new FlatMapStream(context, context.node.fn, context.node.keepsKey),
  tap: (context) => {
    const { fn } = context.node;
    return isTable(context) ? new TapTable(context, fn) : new TapStream(context, fn);
  },
  keyBy: (context) => new KeyByStream(context, context.node.fn),
  union: (context) => new PassThrough(context),
  toStream: (context) => new PassThrough(context),
  sample: (context) => new SampleStream(context),
  where: (context) => createFilter(context, whereCondition(context.node)),
  select: (context) => {
    const fn = selectColumns(context.node);
    return isTable(context) ? new MapTable(context, fn) : new MapStream(context, fn, false);
  },
  explode: (context) => new FlatMapStream(context, explodeColumn(context.node), false),
  aggregate: createAggregate,
  columnAggregate: createColumnAggregate,
  table: (context) => {
    const { historyMs } = context.node;
    return historyMs === undefined
      ? new LatestTable(context)
      : new VersionedTable(context, historyMs);
  },
  tableAggregate: (context, role) =>
    role === 'regroup' ? new Regroup(context) : new TableAggregate(context),
  windowAggregate: createWindowAggregate,
  process: (context) => new Process(context),
  windowJoin: createWindowJoin,
  tableJoin: createTableJoin,
  foreignJoin: (context, role) => {
    assert(
      role === 'subscribe' || role === 'match' || role === 'collect',
      `the join "${context.node.name}" by foreign key runs in parts`,
    );
    return createForeignJoin(context, role);
  },
  globalJoin: createGlobalJoin,
  pattern: createPattern,
  dedupe: createDedupe,
  asyncMap: createAsyncMap,
};

function createFilter(context: OperatorContext, condition: ValueFunction): Operator {
  return isTable(context)
    ? new FilterTable(context, condition)
    : new FilterStream(context, condition);
}

function isTable({ node }: OperatorContext): boolean {
  return node.isTable === true;
}
