import { expect, test } from 'vitest';
import { exchangeInput } from '../../../../test/flow/join-harness.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { RunStorage } from '../exchange.ts';
import { loadBroadcasts } from './load-broadcasts.ts';
import type { ExchangeRead, StageGraph } from '../stage.ts';

const plan = { nodes: [{ kind: 'broadcast', name: 'side', form: 'array' }] } as unknown as Plan;
const newGraph = (): StageGraph => ({ exchanges: [{ id: 0, node: 0 }] }) as unknown as StageGraph;

/** An exchange with these values, and how often it has been opened. */
function exchange(values: readonly unknown[]): {
  readonly read: ExchangeRead;
  readonly storage: RunStorage & { opened: number };
} {
  const input = exchangeInput(
    values.map((value) => ({ key: undefined, value })),
    false,
  );
  const storage = {
    opened: 0,
    create: () => input.storage.create(),
    open: (path: string) => {
      storage.opened++;
      return input.storage.open(path);
    },
    remove: () => undefined,
  };
  const runs = input.outputs.flatMap((output) => output.runs.flatMap(({ segments }) => segments));
  return { read: { exchange: 0, partition: 0, runs, range: undefined }, storage };
}

test('the tasks of a stage read their side data once', () => {
  const { read, storage } = exchange([1, 2, 3]);
  const graph = newGraph();
  const options = { storage, memoryBytes: 1e6 };
  const first = loadBroadcasts(plan, graph, [read], options);
  const { opened } = storage;
  const second = loadBroadcasts(plan, graph, [read], options);
  expect(first.sides.get(0)).toEqual([1, 2, 3]);
  expect(second.sides.get(0)).toBe(first.sides.get(0));
  expect(second.heldBytes).toBe(first.heldBytes);
  expect(storage.opened).toBe(opened);
});

test('other runs, another job, or a task between without them: read again', () => {
  const graph = newGraph();
  const { read, storage } = exchange([1, 2, 3]);
  const options = { storage, memoryBytes: 1e6 };
  const load = (of: StageGraph, reads: readonly ExchangeRead[]): unknown =>
    loadBroadcasts(plan, of, reads, options).sides.get(0);
  const first = load(graph, [read]);
  expect(load(newGraph(), [read])).not.toBe(first);
  expect(load(graph, [read])).toBe(first);
  expect(load(graph, [{ ...read, runs: read.runs.slice(0, 1) }])).not.toEqual(first);
  expect(load(graph, [read])).not.toBe(first);
  const again = load(graph, [read]);
  load(graph, []);
  expect(load(graph, [read])).not.toBe(again);
});
