/** The checker of log histories names each fault that is planted in a good history, and finds none in the good one. */
import { describe, expect, test } from 'vitest';
import { checkLogHistory } from './log-checker.ts';
import type {
  BatchFact,
  ConfigFact,
  LogAnomalyName,
  LogEvent,
  RecordFact,
  View,
} from './log-history.ts';

const CONFIG: ConfigFact = {
  flush: 'commit',
  flushMs: 100,
  cleanupDelete: false,
  cleanupCompact: false,
  retentionMs: -1,
  retentionBytes: -1,
  deleteRetentionMs: 1000,
  minCompactionLagMs: 0,
};

interface BatchOptions {
  readonly keys?: readonly (string | null)[];
  readonly tombstone?: boolean;
  readonly producerId?: number;
  readonly sequence?: number;
  readonly transactional?: boolean;
  readonly control?: BatchFact['control'];
  readonly leaderEpoch?: number;
  readonly timestampMs?: number;
}

/** A batch whose records are `r<offset>`. */
function batch(base: number, count: number, options: BatchOptions = {}): BatchFact {
  const control = options.control ?? 'none';
  const records: RecordFact[] = [];
  if (control === 'none')
    for (let i = 0; i < count; i++)
      records.push({
        offset: base + i,
        id: `r${base + i}`,
        key: options.keys?.[i] ?? null,
        tombstone: options.tombstone ?? false,
        timestampMs: options.timestampMs ?? base + i,
      });
  return {
    baseOffset: base,
    lastOffset: base + count - 1,
    bytes: 100,
    producerId: options.producerId ?? -1,
    producerEpoch: options.producerId === undefined ? -1 : 0,
    baseSequence: options.sequence ?? -1,
    transactional: options.transactional ?? false,
    control,
    markerMs: control === 'none' ? -1 : base,
    leaderEpoch: options.leaderEpoch ?? 1,
    records,
  };
}

const view = (batches: readonly BatchFact[], more: Partial<View> = {}): View => ({
  atMs: 10,
  isolation: 'read_uncommitted',
  from: 0,
  complete: false,
  error: 'NONE',
  batches,
  aborted: [],
  highWatermark: 12,
  lastStableOffset: 12,
  logStartOffset: 0,
  ...more,
});

const P = { producerId: 7, transactional: true };
/** 0-2 plain, 3-4 idempotent, 5-6 aborted, 7 abort, 8-9 committed, 10 commit, 11 open; 12-13 never durable. */
const BATCHES = [
  batch(0, 3),
  batch(3, 2, { producerId: 5, sequence: 0 }),
  batch(5, 2, { ...P, sequence: 0 }),
  batch(7, 1, { ...P, control: 'abort' }),
  batch(8, 2, { ...P, sequence: 2 }),
  batch(10, 1, { ...P, control: 'commit' }),
  batch(11, 1, { ...P, sequence: 4 }),
];
const TAIL = batch(12, 2);
const ABORTED = [{ producerId: 7, firstOffset: 5 }];
const STABLE = { lastStableOffset: 11, highWatermark: 12 };
const COMMITTED = view(BATCHES.slice(0, 6), {
  ...STABLE,
  isolation: 'read_committed',
  aborted: ABORTED,
});
const PRODUCERS = [
  { producerId: 5, producerEpoch: 0, lastSequence: 1, transactionStartOffset: -1 },
  { producerId: 7, producerEpoch: 0, lastSequence: 4, transactionStartOffset: 11 },
];

const appended = (fact: BatchFact, log = 'L'): LogEvent => ({
  kind: 'appended',
  log,
  atMs: 5,
  duplicate: false,
  batches: [fact],
});

interface Recovery {
  readonly batches?: readonly BatchFact[];
  readonly committed?: View;
  readonly end?: number;
  readonly more?: Partial<View>;
  readonly producers?: typeof PRODUCERS;
  readonly leaderEpoch?: number;
  readonly log?: string;
  readonly epochEnds?: readonly (readonly [number, number, number])[];
  readonly maxTimestampOffset?: number;
}

const recovered = (change: Recovery = {}): LogEvent => ({
  kind: 'recovered',
  leaderEpoch: change.leaderEpoch ?? 2,
  logs: [
    {
      log: change.log ?? 'L',
      logEndOffset: change.end ?? 12,
      uncommitted: view(change.batches ?? BATCHES, { ...STABLE, complete: true, ...change.more }),
      committed: change.committed ?? { ...COMMITTED, complete: true },
      producers: change.producers ?? PRODUCERS,
      epochEnds: change.epochEnds ?? [[1, 1, change.end ?? 12]],
      maxTimestampOffset: change.maxTimestampOffset ?? (change.end ?? 12) - 1,
    },
  ],
});

const START: LogEvent[] = [
  { kind: 'recovered', leaderEpoch: 1, logs: [] },
  { kind: 'config', log: 'L', config: CONFIG },
];
const WRITTEN: LogEvent[] = BATCHES.map((fact) => appended(fact));
const ACKED: LogEvent = { kind: 'durable', log: 'L', endOffset: 12 };
const SEEN: LogEvent = { kind: 'view', log: 'L', view: view(BATCHES, STABLE) };
const CUT: LogEvent = { kind: 'cut', power: true, atMs: 20_000 };

const good = (): LogEvent[] => [
  ...START,
  ...WRITTEN,
  ACKED,
  appended(TAIL),
  SEEN,
  { kind: 'view', log: 'L', view: COMMITTED },
  { kind: 'lookup', log: 'L', timestampMs: 4, offset: 4, start: [0, 0], highWatermark: [12, 12] },
  CUT,
  recovered(),
  { ...appended(batch(3, 2)), duplicate: true } as LogEvent,
  appended({
    ...batch(12, 1, { leaderEpoch: 2 }),
    records: [{ ...batch(12, 1).records[0] } as RecordFact],
  }),
  { kind: 'delete-records', log: 'L', phase: 'invoke', offset: 4 },
  { kind: 'delete-records', log: 'L', phase: 'ok', offset: 4 },
  { kind: 'drop', log: 'L', phase: 'invoke' },
  { kind: 'drop', log: 'L', phase: 'ok' },
  CUT,
  { kind: 'recovered', leaderEpoch: 3, logs: [] },
];

const upToCut = (...more: LogEvent[]): LogEvent[] => [...START, ...WRITTEN, ACKED, SEEN, ...more];
const crash = (change: Recovery): LogEvent[] => upToCut(CUT, recovered(change));
const seen = (batches: readonly BatchFact[], more: Partial<View> = {}): LogEvent[] =>
  upToCut({ kind: 'view', log: 'L', view: view(batches, { ...STABLE, ...more }) });

/** A compacted log: keys k (offsets 0, 2), gone (1 and its tombstone 3), late (4). */
const COMPACT = { ...CONFIG, cleanupCompact: true, minCompactionLagMs: 50 };
const KEYED = [
  batch(0, 2, { keys: ['k', 'gone'] }),
  batch(2, 1, { keys: ['k'] }),
  batch(3, 1, { keys: ['gone'], tombstone: true }),
  batch(4, 1, { keys: ['late'], timestampMs: 5000 }),
];
const without = (offsets: readonly number[]): BatchFact[] =>
  KEYED.map((fact) => ({
    ...fact,
    records: fact.records.filter((record) => !offsets.includes(record.offset)),
  }));
const compacted = (missing: readonly number[], atMs: number): LogEvent[] => [
  { kind: 'recovered', leaderEpoch: 1, logs: [] },
  { kind: 'config', log: 'L', config: COMPACT },
  ...KEYED.map((fact) => appended(fact)),
  { kind: 'durable', log: 'L', endOffset: 5 },
  {
    kind: 'view',
    log: 'L',
    view: view(without(missing), { atMs, complete: true, highWatermark: 5, lastStableOffset: 5 }),
  },
];

const PLANTED: Readonly<Record<LogAnomalyName, LogEvent[]>> = {
  'aborted-read': upToCut({ kind: 'view', log: 'L', view: { ...COMMITTED, aborted: [] } }),
  'changed-batch': seen([{ ...batch(0, 3), leaderEpoch: 9 }]),
  'compacted-too-early': compacted([1, 3], 500),
  'deleted-log-is-back': upToCut(
    { kind: 'drop', log: 'L', phase: 'invoke' },
    { kind: 'drop', log: 'L', phase: 'ok' },
    CUT,
    recovered(),
  ),
  duplicate: upToCut(appended({ ...batch(12, 1), records: batch(3, 1).records })),
  'end-inside-a-batch': [
    ...START,
    ...WRITTEN,
    appended(TAIL),
    CUT,
    recovered({ end: 13, batches: [...BATCHES, batch(12, 1)] }),
  ],
  'epoch-end-wrong': crash({ epochEnds: [[1, 1, 11]] }),
  'epoch-went-back': crash({ leaderEpoch: 1 }),
  'inconsistent-offset': seen([
    { ...batch(0, 3), records: [{ ...batch(1, 1).records[0], offset: 0 } as RecordFact] },
  ]),
  'lookup-wrong': upToCut({
    kind: 'lookup',
    log: 'L',
    timestampMs: 4,
    offset: 5,
    start: [0, 0],
    highWatermark: [12, 12],
  }),
  'lost-acknowledged': crash({ end: 11, batches: BATCHES.slice(0, 6) }),
  'lost-after-interval': [
    { kind: 'recovered', leaderEpoch: 1, logs: [] },
    { kind: 'config', log: 'L', config: { ...CONFIG, flush: 'interval' } },
    ...WRITTEN,
    CUT,
    recovered({ end: 11 }),
  ],
  'lost-latest-value': compacted([2], 100),
  'lost-record': seen([batch(0, 3), ...BATCHES.slice(2)]),
  'lost-seen': [...START, ...WRITTEN, SEEN, CUT, recovered({ end: 11 })],
  'offsets-not-dense': upToCut(appended(batch(13, 1))),
  'open-transaction-read': upToCut({
    kind: 'view',
    log: 'L',
    view: { ...COMMITTED, batches: BATCHES },
  }),
  phantom: seen([
    { ...batch(0, 3), records: [{ ...batch(0, 1).records[0], id: 'x' } as RecordFact] },
  ]),
  'phantom-log': crash({ log: 'M' }),
  'producer-state-wrong': crash({ producers: PRODUCERS.slice(1) }),
  'read-above-stable-offset': upToCut({
    kind: 'view',
    log: 'L',
    view: { ...COMMITTED, batches: BATCHES },
  }),
  'read-above-watermark': seen(BATCHES, { highWatermark: 11, lastStableOffset: 11 }),
  'read-failed': seen([], { error: 'CORRUPT_MESSAGE' }),
  refused: upToCut({
    kind: 'refused',
    log: 'L',
    error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
    legal: false,
  }),
  resurrected: compacted([3], 5000),
  'stable-offset-wrong': seen(BATCHES, { lastStableOffset: 12 }),
  'start-too-high': seen(BATCHES.slice(1), { logStartOffset: 3 }),
  'start-went-back': upToCut(
    { kind: 'delete-records', log: 'L', phase: 'invoke', offset: 4 },
    { kind: 'delete-records', log: 'L', phase: 'ok', offset: 4 },
    CUT,
    recovered(),
  ),
  'torn-transaction': upToCut({
    kind: 'view',
    log: 'L',
    view: { ...COMMITTED, aborted: [...ABORTED, { producerId: 7, firstOffset: 8 }] },
  }),
  'watermark-went-back': seen(BATCHES.slice(0, 1), { highWatermark: 3, lastStableOffset: 3 }),
};

const names = (events: readonly LogEvent[]): LogAnomalyName[] =>
  checkLogHistory(events).map((anomaly) => anomaly.name);

test('a good history is clean', () => {
  expect(checkLogHistory(good())).toEqual([]);
});

test('what was not acknowledged, and seen by nobody, may be lost', () => {
  const end = { end: 3, batches: BATCHES.slice(0, 1), producers: [] };
  const all = { ...STABLE, highWatermark: 3, lastStableOffset: 3 };
  const short = view(BATCHES.slice(0, 1), { ...all, complete: true });
  const events = [
    ...START,
    ...WRITTEN,
    CUT,
    recovered({ ...end, more: all, committed: { ...short, isolation: 'read_committed' } }),
  ];
  expect(names(events)).toEqual([]);
});

test.each(Object.entries(PLANTED))('names %s', (name, events) => {
  expect(names(events)).toContain(name);
});

describe('of a compacted log', () => {
  test('a superseded record may be missing', () =>
    expect(names(compacted([0, 1], 100))).toEqual([]));
  test('a tombstone may be missing after its delay, with what it hides', () =>
    expect(names(compacted([0, 1, 3], 5000))).toEqual([]));
  test('a record younger than the lag may not be missing', () =>
    expect(names(compacted([0], 40))).toContain('compacted-too-early'));
});

test('a killed process loses nothing that was written, a power cut may, unless it was synced', () => {
  const os = { ...CONFIG, flush: 'os' as const };
  const run = (power: boolean, synced: boolean): LogAnomalyName[] =>
    names([
      { kind: 'recovered', leaderEpoch: 1, logs: [] },
      { kind: 'config', log: 'L', config: os },
      ...WRITTEN,
      ACKED,
      ...(synced ? [{ kind: 'synced', ends: [['L', 12]] } as LogEvent] : []),
      { kind: 'cut', power, atMs: 20_000 },
      recovered({
        end: 0,
        batches: [],
        producers: [],
        more: { highWatermark: 0, lastStableOffset: 0 },
        committed: view([], { isolation: 'read_committed', highWatermark: 0, lastStableOffset: 0 }),
      }),
    ]);
  expect(run(true, false)).toEqual([]);
  expect(run(false, false)).toContain('lost-acknowledged');
  expect(run(true, true)).toContain('lost-acknowledged');
});

test('retention may take what is old, or more than the size that is kept', () => {
  const run = (config: Partial<ConfigFact>, atMs: number): LogAnomalyName[] =>
    names([
      { kind: 'recovered', leaderEpoch: 1, logs: [] },
      { kind: 'config', log: 'L', config: { ...CONFIG, cleanupDelete: true, ...config } },
      ...WRITTEN,
      ACKED,
      {
        kind: 'view',
        log: 'L',
        view: view(BATCHES.slice(1), { ...STABLE, atMs, logStartOffset: 3 }),
      },
    ]);
  expect(run({ retentionMs: 100 }, 103)).toEqual([]);
  expect(run({ retentionMs: 100 }, 102)).toContain('start-too-high');
  expect(run({ retentionBytes: 600 }, 0)).toEqual([]);
  expect(run({ retentionBytes: 601 }, 0)).toContain('start-too-high');
});
