import { expect, test } from 'vitest';
import { flow, files, topic } from '../index.ts';
import type { RunFlags } from './run-options.ts';
import { checkBounded, checkUntil, parseBegin, parseStream, parseUntil } from './stream-options.ts';

const NOON = Date.parse('2026-01-31T12:00:00Z');
const clock = { nowMs: () => NOON, monotonicMs: () => 0 };

test('a run up to somewhere', () => {
  expect(parseUntil('now', clock)).toEqual({ kind: 'now' });
  expect(parseUntil('2026-01-31T11:00:00Z', clock)).toEqual({ kind: 'time', ms: NOON - 3_600_000 });
  expect(parseUntil('-15m', clock)).toEqual({ kind: 'time', ms: NOON - 900_000 });
  expect(parseUntil('@5', clock)).toEqual({ kind: 'time', ms: 5 });
  expect(parseUntil('a.b-c:0=12, d:11=0,d:2=7', clock)).toEqual({
    kind: 'offsets',
    offsets: { 'a.b-c': { 0: 12 }, d: { 11: 0, 2: 7 } },
  });
});

test.each(['soon', '', 'end', 'beginning', '42', 'a:0', 'a:0=', 'a:0=x', 'a:0=1,', 'a:b=1', 'a=1'])(
  '--until %j is refused, with what it can be',
  (text) => {
    expect(() => parseUntil(text, clock)).toThrow(
      expect.objectContaining({ code: 'ML_USAGE', hint: expect.stringMatching(/^Write /) }),
    );
  },
);

test('topics that are not read are no end', () => {
  const until = parseUntil('orders:0=1,rates:0=1', clock);
  expect(() => checkUntil(until, ['orders', 'rates', 'other'])).not.toThrow();
  expect(() => checkUntil(until, ['orders'])).toThrow(/topic rates/);
  expect(() => checkUntil({ kind: 'now' }, [])).not.toThrow();
});

test('where a flow begins', () => {
  expect(parseBegin('--from', 'beginning', clock)).toBe('beginning');
  expect(parseBegin('--from', 'latest', clock)).toBe('latest');
  expect(parseBegin('--from', 'end', clock)).toBe('latest');
  expect(parseBegin('--from', '-1d', clock)).toEqual({ timestamp: NOON - 86_400_000 });
  for (const text of ['42', 'start', ''])
    expect(() => parseBegin('--to', text, clock)).toThrow(/--to does not understand/);
});

test('without end', () => {
  expect(parseStream({}, clock)).toEqual({
    workers: 0,
    partitions: undefined,
    commitIntervalMs: undefined,
    from: 'beginning',
    state: 'disk',
    kafka: undefined,
  });
  const flags: RunFlags = {
    workers: '4',
    partitions: '8',
    commitInterval: '2s',
    from: 'latest',
    state: 'memory',
    kafka: ':9093',
  };
  expect(parseStream(flags, clock)).toEqual({
    workers: 4,
    partitions: 8,
    commitIntervalMs: 2_000,
    from: 'latest',
    state: 'memory',
    kafka: { host: '127.0.0.1', port: 9093 },
  });
  expect(parseStream({ commitInterval: '250' }, clock).commitIntervalMs).toBe(250);
  expect(parseStream({ http: '8080' }, clock).http).toEqual({
    host: '127.0.0.1',
    port: 8080,
    insecure: false,
  });
  expect(parseStream({ http: '[::]:0', insecure: true }, clock).http).toEqual({
    host: '::',
    port: 0,
    insecure: true,
  });
  // Who watches hands it to every program.
  expect(() => parseStream({ overwrite: true, watched: true }, clock)).not.toThrow();
});

test.each<[RunFlags, RegExp]>([
  [{ memory: '1GB' }, /--memory is for runs that have an end/],
  [{ splitSize: '1MB' }, /--split-size is for runs that have an end/],
  [{ overwrite: true }, /--overwrite is for runs that have an end/],
  [{ commitInterval: '1h' }, /--commit-interval takes 1 ms to 10 s, not '1h'/],
  [{ commitInterval: '0' }, /--commit-interval/],
  [{ workers: '1000' }, /--workers takes at most 256/],
  [{ partitions: '0' }, /--partitions/],
  [{ state: 'nowhere' }, /--state is disk or memory/],
  [{ kafka: ':1', brokers: 'a:1' }, /--kafka opens a port/],
  [{ kafka: 'here' }, /host:port/],
  [{ http: 'here' }, /--http takes a port, or host:port, not 'here'/],
  [{ http: '70000' }, /--http takes a port/],
])('without end, %j is refused', (flags, message) => {
  expect(() => parseStream(flags, clock)).toThrow(message);
});

test('with an end, what speaks of none is refused', () => {
  const overFiles = flow('f', (f) => {
    f.read(files.lines('a')).write(files.lines('b'));
  }).plan();
  const overTopics = flow('t', (f) => {
    f.read(topic('a')).write(topic('b'));
  }).plan();
  expect(() => checkBounded({}, overFiles, false)).not.toThrow();
  expect(() => checkBounded({ until: 'now' }, overTopics, true)).not.toThrow();
  expect(() => checkBounded({ until: 'now' }, overFiles, false)).toThrow(/'f' reads no topics/);
  expect(() => checkBounded({ from: 'latest' }, overFiles, false)).toThrow(/reads no topics/);
  for (const name of ['from', 'commitInterval', 'state', 'kafka'])
    expect(() => checkBounded({ until: 'now', [name]: 'x' }, overTopics, true)).toThrow(
      /is for runs without end, and --until gives this one an end/,
    );
});
