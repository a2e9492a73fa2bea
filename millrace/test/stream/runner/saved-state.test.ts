/** What a flow keeps beside its results, on a broker on a simulated machine. */
import { expect, test } from 'vitest';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { type EmbeddedLog, openEmbedded } from '../../../src/embedded-log.ts';
import {
  flowDirectory,
  lockAllInstances,
  openInstance,
} from '../../../src/engine/stream/runner/flow-instance.ts';
import { checkTopics, findTopics } from '../../../src/engine/stream/runner/flow-topics.ts';
import {
  checkSavedState,
  readSavedState,
  recordTopics,
  saveState,
} from '../../../src/engine/stream/runner/saved-state.ts';
import {
  adoptEpoch,
  readClaims,
  saveClaims,
} from '../../../src/engine/stream/runner/worker-directory.ts';

function onMachine<Result>(program: (env: Env, machine: SimMachine) => Promise<Result>) {
  const machine = new SimMachine(1);
  return machine.run(program(machine.boot(), machine));
}

function onBroker<Result>(program: (log: EmbeddedLog) => Promise<Result>): Promise<Result> {
  return onMachine(async (env) => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    const result = await program(log);
    await log.close();
    return result;
  });
}

function codeOf(error: unknown): string {
  return error instanceof MillraceError ? error.code : String(error);
}

async function refusal(work: Promise<unknown>): Promise<MillraceError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

test('saved state is read as it was written last', async () => {
  const saved = await onBroker(async (log) => {
    expect(await readSavedState(log, 'f')).toBeUndefined();
    const source = { name: 'orders', id: 'id-1', partitions: 2 };
    const sources = new Map([['orders', source]]);
    const first = { nodes: { a: '1', b: '2' }, sources, topics: ['f-x-repartition'] };
    await saveState(log, 'f', undefined, first);
    await recordTopics(log, 'f', ['f-a-changelog']);
    await saveState(log, 'f', await readSavedState(log, 'f'), {
      ...first,
      nodes: { ...first.nodes, c: '3' },
    });
    return readSavedState(log, 'f');
  });
  expect([...(saved?.nodes ?? [])]).toEqual([
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
  ]);
  expect([...(saved?.topics ?? [])]).toEqual(['f-x-repartition', 'f-a-changelog']);
  expect([...(saved?.sources ?? [])]).toEqual([['orders', 'id-1']]);
});

test('a flow whose state does not fit is refused, and every node named; one that has grown is not', () => {
  const saved = {
    nodes: new Map([
      ['hits', 'tumbling 60000'],
      ['gone', 'table'],
      ['kept', 'table'],
    ]),
    sources: new Map([['orders', 'id-1']]),
    topics: new Set<string>(),
  };
  const check = (nodes: Readonly<Record<string, string>>, id: string): string => {
    try {
      const orders = { name: 'orders', id, partitions: 1 };
      checkSavedState('f', saved, nodes, new Map([['orders', orders]]));
      return 'fits';
    } catch (error) {
      return error instanceof MillraceError ? `${error.code} ${error.message}` : String(error);
    }
  };
  const same = { hits: 'tumbling 60000', gone: 'table', kept: 'table' };
  expect(check({ ...same, fresh: 'table' }, 'id-1')).toBe('fits');
  expect(check({ hits: 'tumbling 30000', kept: 'table' }, 'id-1')).toBe(
    "ML_FLOW_CHANGED the state that is saved for flow 'f' does not fit: 'hits' has changed, 'gone' is not there any more",
  );
  expect(check(same, 'id-2')).toContain('ML_TOPIC_CHANGED topic orders was deleted and made anew');
});

test('a process takes the first free place, and gets the same name when it comes back', async () => {
  await onMachine(async (env) => {
    const first = await openInstance(env, '/data', 'f');
    const second = await openInstance(env, '/data', 'f');
    expect(second.id).not.toBe(first.id);
    expect(second.directory).not.toBe(first.directory);
    expect(codeOf(await refusal(lockAllInstances(env, '/data', 'f')))).toBe('ML_FLOW_BUSY');
    first.release();
    const again = await openInstance(env, '/data', 'f');
    expect(again.id).toBe(first.id);
    again.release();
    second.release();
    const all = await lockAllInstances(env, '/data', 'f');
    expect(all.map(({ id }) => id)).toEqual([first.id, second.id]);
    for (const instance of all) instance.release();
  });
});

test('local state of another life, or that is too old, or of workers that are no more, is deleted', async () => {
  await onMachine(async (env, machine) => {
    const directory = flowDirectory('/data', 'f');
    const make = (): void => {
      for (const worker of [0, 1]) {
        env.fs.makeDirectory(`${directory}/worker-${worker}`);
        saveClaims(env, `${directory}/worker-${worker}`, [{ stage: 1, partition: worker }]);
      }
    };
    make();
    await adoptEpoch(env, directory, 'one', 2);
    expect(env.fs.list(directory)).toEqual(['epoch']);
    make();
    await adoptEpoch(env, directory, 'one', 2);
    expect(readClaims(env, `${directory}/worker-1`)).toEqual([{ stage: 1, partition: 1 }]);
    await adoptEpoch(env, directory, 'one', 1);
    expect(env.fs.list(directory)).toEqual(['epoch', 'worker-0']);
    await adoptEpoch(env, directory, 'two', 1);
    expect(env.fs.list(directory)).toEqual(['epoch']);
    make();
    machine.jumpClock(13 * 3_600_000);
    await adoptEpoch(env, directory, 'two', 2);
    expect(env.fs.list(directory)).toEqual(['epoch']);
    expect(readClaims(env, `${directory}/worker-0`)).toEqual([]);
  });
});

test('a flow waits for its topics with a word, or says which are missing', async () => {
  await onBroker(async (log) => {
    const { signal } = new AbortController();
    const missing = await refusal(findTopics(log, ['orders'], undefined, signal));
    expect(missing.code).toBe('ML_TOPIC_MISSING');
    const told: string[][] = [];
    const found = findTopics(log, ['orders'], (names) => told.push([...names]), signal);
    await log.env.timers.sleep(2_000);
    await log.createTopics([{ name: 'orders', partitions: 2, configs: {} }]);
    expect((await found).get('orders')?.partitions).toBe(2);
    expect(told).toEqual([['orders']]);
  });
});

test('topics that are not what they were are named', async () => {
  await onBroker(async (log) => {
    const spec = { name: 'orders', partitions: 2, configs: {} };
    await log.createTopics([spec]);
    const known = await log.topics(['orders']);
    await checkTopics(log, known);
    await log.deleteTopics(['orders']);
    expect((await refusal(checkTopics(log, known))).code).toBe('ML_TOPIC_MISSING');
    await log.createTopics([spec]);
    const anew = await refusal(checkTopics(log, known));
    expect(`${anew.code} ${anew.message}`).toBe(
      'ML_TOPIC_CHANGED topic orders was deleted and made anew while the flow read it',
    );
    await log.deleteTopics(['orders']);
    await log.createTopics([{ ...spec, partitions: 3 }]);
    const wider = [...(await log.topics(['orders'])).values()].map((now) => ({
      ...now,
      partitions: 2,
    }));
    const grown = await refusal(checkTopics(log, new Map(wider.map((was) => [was.name, was]))));
    expect(grown.message).toContain('has 3 partitions now, 2 when the flow started');
  });
});
