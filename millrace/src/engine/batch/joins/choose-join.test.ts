import { expect, test } from 'vitest';
import type { JoinNode, JoinType, Plan, PlanNode } from '../../../flow/plan.ts';
import type { PlanFacts } from '../stage.ts';
import { chooseJoin, hasUniqueKeys, sideSize } from './choose-join.ts';

const MEBIBYTE = 1024 * 1024;

const source = (id: number, path: string): PlanNode =>
  ({
    id,
    name: `read-${id}`,
    kind: 'source',
    inputs: [],
    source: { kind: 'source', format: 'csv', label: `csv ${path}`, paths: [path] },
  }) as unknown as PlanNode;

const operator = (id: number, kind: PlanNode['kind'], inputs: readonly number[]): PlanNode =>
  ({ id, name: `${kind}-${id}`, kind, inputs }) as unknown as PlanNode;

const join = (type: JoinType, strategy?: JoinNode['strategy']): JoinNode => ({
  id: 9,
  name: 'with-user',
  kind: 'join',
  inputs: [0, 1],
  type,
  strategy,
  splitsHotKeys: true,
  fn: () => undefined,
});

const planOf = (...nodes: PlanNode[]): Plan => ({ nodes }) as unknown as Plan;

const facts = (sourceBytes: Record<number, number>, memoryBytes = 512 * MEBIBYTE): PlanFacts => ({
  sourceBytes,
  partitions: undefined,
  memoryBytes,
});

test('a small right side is broadcast, and the reason names it', () => {
  const plan = planOf(source(0, 'users.csv'), operator(1, 'map', [0]), operator(2, 'keyBy', [1]));
  const known = facts({ 0: 1.2 * MEBIBYTE });
  expect(chooseJoin(join('inner'), known, sideSize(plan, 2, known))).toEqual({
    strategy: 'broadcast-hash',
    reason: 'csv users.csv has 1.2 MB: broadcast',
  });
});

test('a right side above the bound is merged, whatever the memory', () => {
  const plan = planOf(source(0, 'users.csv'));
  const known = facts({ 0: 11 * MEBIBYTE }, 64 * 1024 * MEBIBYTE);
  expect(chooseJoin(join('inner'), known, sideSize(plan, 0, known))).toEqual({
    strategy: 'sort-merge',
    reason: 'csv users.csv has 11 MB, more than the 10 MB that are broadcast',
  });
});

test('little memory lowers the bound', () => {
  const plan = planOf(source(0, 'users.csv'));
  const known = facts({ 0: 2 * MEBIBYTE }, 32 * MEBIBYTE);
  expect(chooseJoin(join('inner'), known, sideSize(plan, 0, known)).strategy).toBe('sort-merge');
});

test.each(['right', 'outer'] as const)('a %s join is never broadcast', (type) => {
  const plan = planOf(source(0, 'users.csv'));
  const known = facts({ 0: 1 });
  expect(chooseJoin(join(type), known, sideSize(plan, 0, known)).strategy).toBe('sort-merge');
  expect(() => chooseJoin(join(type, 'broadcast-hash'), known, sideSize(plan, 0, known))).toThrow(
    expect.objectContaining({
      code: 'ML_FLOW_INVALID',
      message: expect.stringContaining('with-user') as unknown,
    }),
  );
});

test('what the program asks for is done', () => {
  const plan = planOf(source(0, 'users.csv'));
  const known = facts({ 0: 1 });
  for (const strategy of ['sort-merge', 'partitioned-hash', 'broadcast-hash'] as const)
    expect(chooseJoin(join('left', strategy), known, sideSize(plan, 0, known))).toEqual({
      strategy,
      reason: 'asked for by the program',
    });
});

test('a side of unknown size is merged: a source that does not say, or an operator that may make more', () => {
  const silent = planOf(source(0, '-'));
  const known = facts({});
  expect(chooseJoin(join('inner'), known, sideSize(silent, 0, known)).strategy).toBe('sort-merge');
  const bytes = facts({ 0: 1 });
  for (const kind of ['flatMap', 'explode', 'group', 'join', 'iterate'] as const) {
    const plan = planOf(source(0, 'users.csv'), operator(1, kind, [0]), operator(2, 'map', [1]));
    expect(sideSize(plan, 2, bytes).bytes).toBeUndefined();
  }
});

test('all sources of a side count, compressed ones for more than they have', () => {
  const plan = planOf(source(0, 'a.csv'), source(1, 'b.csv.gz'), operator(2, 'union', [0, 1]));
  expect(sideSize(plan, 2, facts({ 0: 100, 1: 10 })).bytes).toBe(180);
});

test('tables have unique keys, and what keeps keys and adds nothing has them, too', () => {
  const aggregate = { ...operator(1, 'aggregate', [0]), isKeyed: true } as unknown as PlanNode;
  const map = (keepsKey: boolean): PlanNode =>
    ({ ...operator(3, 'map', [2]), keepsKey }) as unknown as PlanNode;
  const filter = operator(2, 'filter', [1]);
  expect(hasUniqueKeys(planOf(source(0, 'a'), aggregate, filter, map(true)), 3)).toBe(true);
  expect(hasUniqueKeys(planOf(source(0, 'a'), aggregate, filter, map(false)), 3)).toBe(false);
  const flatMap = { ...operator(2, 'flatMap', [1]), keepsKey: true } as unknown as PlanNode;
  expect(hasUniqueKeys(planOf(source(0, 'a'), aggregate, flatMap), 2)).toBe(false);
  expect(hasUniqueKeys(planOf(source(0, 'a')), 0)).toBe(false);
  expect(hasUniqueKeys(planOf(source(0, 'a'), aggregate, operator(2, 'union', [1, 1])), 2)).toBe(
    false,
  );
});
