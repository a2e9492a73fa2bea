/**
 * The smallest task that an exactly-once test needs, apart from the engine's own: it counts per key, in state with a changelog, and writes
 * `key → count` for each record. Whatever is processed twice, or not at all, shows in its output.
 */
import { visibleBatches } from '../../../src/client/kafka/fetched-records.ts';
import type { LogRecords, TopicPartition } from '../../../src/client/log.ts';
import { openMemoryState } from '../../../src/engine/stream/state/task-state.ts';
import type { Store } from '../../../src/engine/stream/state/store.ts';
import type { StreamTask } from '../../../src/engine/stream/task.ts';
import type { Topology } from '../../../src/engine/stream/topology.ts';
import type { TaskHost } from '../../../src/engine/stream/worker/worker-types.ts';

export const FLOW = 'counting';
export const INPUT = 'words';
export const OUTPUT = 'counts';
export const CHANGELOG = 'counting-counts-changelog';

export function countingTopology(partitions: number): Topology {
  return {
    plan: {
      name: FLOW,
      nodes: [],
      counters: [],
      parameters: {},
      onError: { kind: 'fail' },
      fingerprint: 'f',
    },
    // The worker looks at names and numbers only.
    stages: [
      {
        id: 0,
        partitions,
        nodes: [],
        inputs: [{ topic: INPUT, from: { kind: 'source', node: 0, port: {} as never } }],
        globals: [],
        exits: [],
      },
    ],
    internalTopics: [],
    outputTopics: [{ name: OUTPUT, partitions, configs: {} }],
    deadLetters: undefined,
    stateFingerprint: { counts: `aggregate over ${partitions} partitions` },
  };
}

interface Word {
  readonly key: string;
  readonly offset: number;
  readonly timestamp: number;
}

/** @param paceRecords so many records in one transaction at most */
export function countingTask(
  partition: number,
  host: TaskHost,
  paceRecords = Infinity,
): StreamTask {
  const input = { topic: INPUT, partition };
  const state = openMemoryState();
  const counts: Store<number> = state.store<number>({ name: 'counts' });
  const changelog = { topic: CHANGELOG, partition, store: 'counts' };
  let queue: Word[] = [];
  let next: number | undefined;
  let committed: number | undefined;
  let ahead: number | undefined;
  let recordsIn = 0;
  let inTransaction = 0;
  const take = (word: Word): void => {
    const count = (counts.get(word.key, 0) ?? 0) + 1;
    counts.put(word.key, 0, count, word.timestamp);
    host.output.append(OUTPUT, partition, word.timestamp, word.key, String(count));
    recordsIn++;
  };
  return {
    id: { stage: 0, partition },
    inputs: [input],
    state,
    changelogs: [changelog],
    raiseTime: () => undefined,
    begin: ([known]) => {
      next = known?.offset;
      committed = next;
    },
    add: (records: LogRecords) => {
      for (const reader of visibleBatches(records)) {
        while (reader.next()) {
          if (reader.offset < records.from) continue;
          const key = reader.data.toString('utf8', reader.keyStart, reader.keyEnd);
          queue.push({ key, offset: reader.offset, timestamp: reader.timestamp });
        }
      }
      ahead = records.next;
    },
    bufferedBytes: () => queue.length * 16,
    process: (recordsMax) => {
      const now = queue.splice(0, Math.min(recordsMax, paceRecords - inTransaction));
      inTransaction += now.length;
      for (const word of now) {
        take(word);
        next = word.offset + 1;
      }
      if (queue.length === 0 && ahead !== undefined) next = ahead;
      return now.length;
    },
    tick: () => Infinity,
    watermark: 0,
    pending: 0,
    prepareCommit: () => {
      state.flush((_store, key, value, time) => {
        host.output.append(CHANGELOG, partition, time, key, value);
      });
    },
    offsets: () =>
      next === undefined || next === committed ? [] : [{ ...input, offset: next, metadata: '' }],
    committed: (nextOffset: (changelog: TopicPartition) => number | undefined) => {
      const end = nextOffset(changelog);
      state.committed(new Map(end === undefined ? [] : [['counts', end]]));
      committed = next;
      inTransaction = 0;
    },
    abort: () => {
      inTransaction = 0;
      state.abort();
      queue = [];
      next = committed;
      ahead = undefined;
    },
    close: () => state.close(),
    get isDirty() {
      return next !== committed;
    },
    details: () => ({ nodes: [], inputs: [] }),
    get metrics() {
      return { recordsIn, recordsOut: recordsIn, lateDropped: 0, skipped: 0 };
    },
  };
}
