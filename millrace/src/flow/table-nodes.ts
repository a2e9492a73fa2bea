/** Nodes behind tables, and beside them. */
import {
  addNode,
  type Draft,
  flowError,
  Handle,
  type NodeContent,
  type Operator,
} from './draft.ts';
import { identity, isPresent, LATEST_OF_KEY, madeOf, valueOfEntry } from './functions.ts';
import { functionOf, type UserFunction } from './operator-builder.ts';
import type { ValueFunction } from './plan.ts';
import type { ForeignJoinNode } from './stream-nodes.ts';
import type { Entry, TableOptions } from './stream-options.ts';

/** What a node gives besides its result. */
export function sideOf(operator: Operator, draft: Draft, output: 'late' | 'timedOut'): Draft {
  return addNode(operator, { kind: 'sideOutput', output }, [draft]);
}

/** Aggregates of records, where they are given what changes. */
export function refuseChanges(operator: Operator, draft: Draft): void {
  if (draft.content.isTable !== true) return;
  throw flowError(
    operator,
    'a table changes, and what has changed would be counted again',
    'Say groupBy before it, and give it a function that subtracts; or take its changes as a stream with toStream',
  );
}

export function joinForeign(
  operator: Operator,
  type: ForeignJoinNode['type'],
  left: Draft,
  given: { readonly right: unknown; readonly foreignKey: UserFunction; readonly fn: UserFunction },
): Draft {
  const right = Handle.draftOf(operator, given.right, 'keyed');
  const foreignKey = functionOf(operator, given.foreignKey, 'the function that gives the key');
  const fn: ForeignJoinNode['fn'] = functionOf(operator, given.fn);
  if (operator.name === undefined) throw flowError(operator, 'its first argument is its name');
  if (left.content.isTable !== true || right.content.isTable !== true) {
    throw flowError(operator, 'it joins tables of topics, and one of its sides is none');
  }
  const content: NodeContent = { kind: 'foreignJoin', type, foreignKey, fn, isTable: true };
  return addNode(operator, content, [left, right], operator.name);
}

/** The name that the user gave to the operator that made a table, or to one before it. */
export function nearestName(from: Draft): string | undefined {
  for (let draft: Draft | undefined = from; draft !== undefined; draft = draft.inputs[0]) {
    if (draft.name !== undefined) return draft.name;
  }
  return undefined;
}

/** The latest value of each key of what has an end; null deletes. */
export function latestOf(operator: Operator, draft: Draft, options: TableOptions): Draft {
  if (options.history !== undefined || options.ttl !== undefined) {
    throw flowError(
      operator,
      '`history` and `ttl` are for tables of topics, whose records have times',
    );
  }
  const latest = addNode(operator, LATEST_OF_KEY, [draft], operator.name);
  return addNode(operator, { kind: 'filter', fn: isPresent }, [latest]);
}

export function entryOrder(by: ValueFunction): (entry: Entry<unknown, unknown>) => unknown {
  if (by === identity) return valueOfEntry;
  return madeOf([by], (entry: Entry<unknown, unknown>) => by(entry.value, entry.key));
}
