import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FETCH_SESSION_EVICTION_MS } from '../core/limits.ts';
import type { FetchedPartition } from './fetch.ts';
import { FetchSessions, type SessionPartition, type SessionRequest } from './fetch-sessions.ts';

const ZERO = '00000000-0000-0000-0000-000000000000';

function clockwork(slots: number) {
  let nowMs = 0;
  let seed = 0;
  const sessions = new FetchSessions({
    env: {
      clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
      random: {
        next: () => (seed = (seed * 9301 + 49_297) % 233_280) / 233_280,
        bytes: (count) => Buffer.alloc(count),
        uuid: () => ZERO,
      },
    },
    slots,
  });
  return { sessions, advance: (ms: number) => (nowMs += ms) };
}

function part(topicName: string, partition: number, fetchOffset = 0): SessionPartition {
  return {
    topicName,
    topicId: ZERO,
    partition,
    fetchOffset,
    maxBytes: 1_000,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
  };
}

function result(change: Partial<FetchedPartition> = {}): FetchedPartition {
  return {
    error: 'NONE',
    records: Buffer.alloc(0),
    highWatermark: 10,
    lastStableOffset: 10,
    logStartOffset: 0,
    abortedTransactions: [],
    diverging: undefined,
    ...change,
  };
}

function request(change: Partial<SessionRequest>): SessionRequest {
  return {
    sessionId: 0,
    sessionEpoch: 0,
    byId: false,
    partitions: [],
    forgotten: [],
    ...change,
  };
}

function begin(sessions: FetchSessions, partitions: readonly SessionPartition[]): number {
  const plan = sessions.open(request({ partitions }));
  expect(plan.select(partitions.map(() => result()))).toEqual(partitions.map((_, i) => i));
  return plan.sessionId;
}

test('a full request begins a session, an incremental one reads all of it and answers only news', () => {
  const { sessions } = clockwork(10);
  const sessionId = begin(sessions, [part('a', 0), part('a', 1), part('b', 0)]);
  expect(sessionId).toBeGreaterThan(0);
  const quiet = sessions.open(request({ sessionId, sessionEpoch: 1 }));
  expect(quiet.partitions.map((p) => `${p.topicName}${p.partition}`)).toEqual(['a0', 'a1', 'b0']);
  expect(quiet.select([result(), result(), result()])).toEqual([]);
  const busy = sessions.open(request({ sessionId, sessionEpoch: 2 }));
  const news = [
    result({ highWatermark: 11 }),
    result({ records: Buffer.alloc(5) }),
    result({ error: 'OFFSET_OUT_OF_RANGE' }),
  ];
  expect(busy.select(news)).toEqual([0, 1, 2]);
  // Who gave records goes last; an error is told every time.
  const next = sessions.open(request({ sessionId, sessionEpoch: 3 }));
  expect(next.partitions.map((p) => `${p.topicName}${p.partition}`)).toEqual(['a0', 'b0', 'a1']);
  const same = [
    result({ highWatermark: 11 }),
    result({ error: 'OFFSET_OUT_OF_RANGE' }),
    result({ highWatermark: 10 }),
  ];
  expect(next.select(same)).toEqual([1]);
});

test('changes and removals of an incremental request are kept', () => {
  const { sessions } = clockwork(10);
  const sessionId = begin(sessions, [part('a', 0), part('a', 1)]);
  const plan = sessions.open(
    request({
      sessionId,
      sessionEpoch: 1,
      partitions: [part('a', 1, 7), part('c', 3, 1)],
      forgotten: [{ topicName: 'a', topicId: ZERO, partition: 0 }],
    }),
  );
  expect(plan.partitions).toEqual([part('a', 1, 7), part('c', 3, 1)]);
  expect(sessions.partitionCount).toBe(2);
});

test('the wrong epoch, an unknown session and another kind of topic names are errors', () => {
  const { sessions } = clockwork(10);
  const sessionId = begin(sessions, [part('a', 0)]);
  const errors = [
    request({ sessionId, sessionEpoch: 5 }),
    request({ sessionId: sessionId + 1, sessionEpoch: 1 }),
    request({ sessionId, sessionEpoch: 1, byId: true }),
  ].map((each) => sessions.open(each).error);
  expect(errors).toEqual([
    'INVALID_FETCH_SESSION_EPOCH',
    'FETCH_SESSION_ID_NOT_FOUND',
    'FETCH_SESSION_TOPIC_ID_ERROR',
  ]);
  expect(sessions.open(request({ sessionId, sessionEpoch: 1 })).error).toBe('NONE');
});

test('a full request ends the old session; the last one makes no new one', () => {
  const { sessions } = clockwork(10);
  const partitions = [part('a', 0)];
  const first = begin(sessions, partitions);
  const second = sessions.open(request({ sessionId: first, partitions })).sessionId;
  expect(second).not.toBe(first);
  expect(sessions.count).toBe(1);
  const last = sessions.open(request({ sessionId: second, sessionEpoch: -1, partitions }));
  expect(last.sessionId).toBe(0);
  expect(sessions.count).toBe(0);
  expect(sessions.partitionCount).toBe(0);
});

test('without a free slot there is no session, until one was not used for long', () => {
  const { sessions, advance } = clockwork(2);
  const first = begin(sessions, [part('a', 0)]);
  begin(sessions, [part('b', 0)]);
  expect(begin(sessions, [part('c', 0)])).toBe(0);
  advance(FETCH_SESSION_EVICTION_MS - 1);
  sessions.open(request({ sessionId: first, sessionEpoch: 1 }));
  advance(1);
  expect(begin(sessions, [part('c', 0)])).toBeGreaterThan(0);
  expect(sessions.open(request({ sessionId: first, sessionEpoch: 2 })).error).toBe('NONE');
});

test('a consumer over a session learns exactly what one without a session is told', () => {
  const step = fc.record({
    high: fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }),
    bytes: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const { sessions } = clockwork(4);
      const all = [0, 1, 2, 3].map((partition) => part('a', partition));
      const sessionId = begin(sessions, all);
      const known = new Map(all.map(({ partition }) => [partition, 10]));
      const high = new Map(known);
      for (const [index, { high: rise, bytes }] of steps.entries()) {
        for (let p = 0; p < 4; p++) high.set(p, (high.get(p) ?? 0) + (rise[p] ?? 0));
        const plan = sessions.open(request({ sessionId, sessionEpoch: index + 1 }));
        const results = plan.partitions.map(({ partition }) =>
          result({
            highWatermark: high.get(partition) ?? -1,
            records: Buffer.alloc(bytes[partition] ?? 0),
          }),
        );
        const told = plan.select(results);
        for (const at of told)
          known.set(plan.partitions[at]?.partition ?? -1, results[at]?.highWatermark ?? -1);
        expect(known).toEqual(high);
        const withRecords = results.flatMap((each, at) => (each.records.length > 0 ? [at] : []));
        expect(told).toEqual(expect.arrayContaining(withRecords));
      }
      expect(sessions.partitionCount).toBe(4);
    }),
  );
});
