/**
 * The crash test is itself tested: each of these bugs is planted into a store that is sound, from outside, and has to be
 * noticed. A harness that finds nothing here would find nothing in the store either.
 */
import { expect, test } from 'vitest';
import type { Env } from '../../src/core/env.ts';
import type { LogStore, PartitionLog } from '../../src/log/types.ts';
import { PLANTED_ENV, withFaults } from './faulty-env.ts';
import { type CrashRunOptions, crashRun, failureOf } from './sim-crash.ts';
import { openSmallStore } from './store-under-test.ts';

const SEEDS_MAX = 400;

/** Where few seeds notice, one that does is tried first; when it does no more, the search finds another. */
const NOTICING: Readonly<Record<string, number>> = {
  'trusts the page cache instead of writing again': 59,
  'takes a torn batch for a whole one': 186,
};

/** What the first seed that notices says; undefined when none of `SEEDS_MAX` does. */
async function noticed(
  options: Omit<CrashRunOptions, 'seed' | 'open'> & Partial<CrashRunOptions>,
  first = 1,
): Promise<string | undefined> {
  for (let index = 0; index <= SEEDS_MAX; index++) {
    const seed = index === 0 ? first : index;
    const run = await crashRun({
      open: openSmallStore,
      syncFailureChance: 1,
      ...options,
      seed,
    });
    const [anomaly] = run.anomalies;
    if (anomaly !== undefined) return anomaly.name;
    const failure = failureOf(run);
    if (failure !== '') return failure;
  }
  return undefined;
}

test.each(Object.entries(PLANTED_ENV))('a store is caught that %s', async (name, faults) => {
  // What only a start without the journal would do wrong needs logs that do not use it.
  const lossyChance = name.includes('torn') ? 1 : 0.3;
  const wrapEnv = (env: Env): Env => withFaults(env, faults);
  expect(await noticed({ wrapEnv, lossyChance }, NOTICING[name])).toBeDefined();
});

/** Changes one method of every log of a store. */
function withLogs(change: (log: PartitionLog) => Partial<PartitionLog>): CrashRunOptions['open'] {
  return async (env, onFatal) => {
    const store = await openSmallStore(env, onFatal);
    const openLog: LogStore['openLog'] = (id, config, options) => {
      const log = store.openLog(id, config, options);
      const changes = change(log);
      return new Proxy(log, {
        get: (target, key) => {
          if (Object.hasOwn(changes, key)) return Reflect.get(changes, key);
          const value: unknown = Reflect.get(target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    };
    return new Proxy(store, {
      get: (target, key) => {
        if (key === 'openLog') return openLog;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
}

const PLANTED_LOG: Readonly<Record<string, (log: PartitionLog) => Partial<PartitionLog>>> = {
  'acknowledges at once': () => ({ whenDurable: async () => {} }),
  'moves the log start without making it durable': (log) => ({
    deleteRecordsBefore: async (offset) => offset,
    read: async (offset, options) => log.read(offset, options),
  }),
  'shows aborted records to readers of committed data': (log) => ({
    read: async (offset, options) => ({
      ...(await log.read(offset, options)),
      abortedTransactions: [],
    }),
  }),
  'shows open transactions to readers of committed data': (log) => ({
    read: async (offset, options) => {
      const result = await log.read(offset, { ...options, isolation: 'read_uncommitted' });
      return { ...result, lastStableOffset: result.highWatermark };
    },
  }),
  'forgets its producers': () => ({ producers: () => [] }),
  'looks records up by time one too far': (log) => ({
    offsetForTimestamp: async (timestampMs, isolation) => {
      const found = await log.offsetForTimestamp(timestampMs, isolation);
      return found === undefined ? undefined : { ...found, offset: found.offset + 1 };
    },
  }),
  'writes a batch twice': (log) => ({
    append: (batches, options) => {
      const copy = Buffer.from(batches);
      const result = log.append(batches, options);
      if (options.origin === 'client' && result.ok && !result.duplicate)
        log.append(copy, { origin: 'internal' });
      return result;
    },
  }),
};

test.each(Object.entries(PLANTED_LOG))('a log is caught that %s', async (_name, change) => {
  expect(await noticed({ open: withLogs(change) })).toBeDefined();
});
