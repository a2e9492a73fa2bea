/** Which join it is: of what has an end, of two streams near in time, of a stream with a table, or of two tables. */
import { type Draft, flowError, type NodeContent, type Operator } from './draft.ts';
import { flipped } from './functions.ts';
import { described, durationOf } from './operator-builder.ts';
import type { JoinStrategy, JoinType } from './plan.ts';
import type { JoinOptions } from './stream-options.ts';
import type { TableJoinNode, WindowJoinNode } from './stream-nodes.ts';

export interface JoinRequest {
  readonly operator: Operator;
  readonly type: JoinType;
  readonly left: Draft;
  readonly right: Draft;
  readonly fn: (left: unknown, right: unknown, key: unknown) => unknown;
  readonly options: JoinOptions;
}

/** A node, and which of the two sides comes first in it. */
export interface Join {
  readonly content: NodeContent;
  readonly isSwapped: boolean;
}

/** @throws {MillraceError} ML_FLOW_INVALID for options that do not fit what is joined */
export function joinOf(request: JoinRequest): Join {
  const { left, right, type } = request;
  if (!left.isEndless || !right.isEndless || type === 'semi' || type === 'anti')
    return { content: boundedJoin(request), isSwapped: false };
  refuse(request, ['strategy', 'splitHotKeys'], 'is for joins of what has an end');
  const isLeftTable = left.content.isTable === true;
  const isRightTable = right.content.isTable === true;
  if (isLeftTable && isRightTable) return tableJoin(request, type, 'table-table');
  if (!isLeftTable && !isRightTable) return windowJoin(request, type);
  if (isLeftTable)
    throw flowError(
      request.operator,
      'its left side is a table and its right side a stream, whose records each look for one value',
      'Join the stream with the table, or make the stream a table with toTable',
    );
  if (type === 'right' || type === 'outer')
    throw flowError(
      request.operator,
      'a table that is joined to a stream has no records of its own: only join and leftJoin do that',
      'Make the stream a table with toTable, or the table a stream with toStream and say `within`',
    );
  return tableJoin(request, type, 'stream-table');
}

function boundedJoin(request: JoinRequest): NodeContent {
  const { operator, type, fn, options } = request;
  refuse(
    request,
    ['within', 'before', 'after', 'grace'],
    'is for joins of two streams of topics, whose records have times',
  );
  const { strategy, splitHotKeys = true } = options;
  if (strategy !== undefined && !STRATEGIES.includes(strategy)) {
    throw flowError(
      operator,
      `the strategy must be one of ${STRATEGIES.join(', ')}, and is ${described(strategy)}`,
    );
  }
  return { kind: 'join', type, strategy, splitsHotKeys: splitHotKeys, fn };
}

const STRATEGIES: readonly unknown[] = [
  'sort-merge',
  'broadcast-hash',
  'partitioned-hash',
] satisfies JoinStrategy[];

function tableJoin(
  request: JoinRequest,
  type: Exclude<JoinType, 'semi' | 'anti'>,
  sides: TableJoinNode['sides'],
): Join {
  refuse(request, ['within', 'before', 'after', 'grace'], 'is for joins of two streams');
  const { fn } = request;
  const isTable = sides === 'table-table' ? { isTable: true } : {};
  const isSwapped = type === 'right';
  const content: NodeContent = {
    kind: 'tableJoin',
    sides,
    type: isSwapped ? 'left' : type,
    fn: isSwapped ? flipped(fn) : fn,
    ...isTable,
  };
  return { content, isSwapped };
}

function windowJoin(request: JoinRequest, type: Exclude<JoinType, 'semi' | 'anti'>): Join {
  const { fn } = request;
  const times = timesOf(request);
  if (type !== 'right')
    return {
      content: { kind: 'windowJoin', type, ...times, fn },
      isSwapped: false,
    };
  const content: NodeContent = {
    kind: 'windowJoin',
    type: 'left',
    beforeMs: times.afterMs,
    afterMs: times.beforeMs,
    graceMs: times.graceMs,
    fn: flipped(fn),
  };
  return { content, isSwapped: true };
}

function timesOf({
  operator,
  options,
}: JoinRequest): Pick<WindowJoinNode, 'beforeMs' | 'afterMs' | 'graceMs'> {
  const { within, before, after, grace = 0 } = options;
  if (within === undefined && before === undefined && after === undefined)
    throw flowError(
      operator,
      'two streams that have no end can be joined only where their times are near',
      "Say how near, such as { within: '1 hour' }, or make one of them a table with f.table or toTable",
    );
  if (within !== undefined && (before !== undefined || after !== undefined))
    throw flowError(operator, 'it is given `within`, and `before` or `after`: say either');
  return {
    beforeMs: durationOf(operator, '`before`', within ?? before ?? 0, 0),
    afterMs: durationOf(operator, '`after`', within ?? after ?? 0, 0),
    graceMs: durationOf(operator, 'the grace', grace, 0),
  };
}

function refuse(
  { operator, options }: JoinRequest,
  names: readonly (keyof JoinOptions)[],
  reason: string,
): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given !== undefined) throw flowError(operator, `\`${given}\` ${reason}`);
}
