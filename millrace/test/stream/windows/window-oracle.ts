/**
 * What windows hold, by definition: every record is kept with the T at which it came, and each window is asked for the records that it
 * took in. Slow, and without any state that could go wrong.
 */
import type { WindowSpec } from '../../../src/flow/windows.ts';

export interface Arrival {
  readonly key: string;
  readonly value: number;
  readonly time: number;
  /** T, the record itself counted. */
  readonly watermark: number;
}

export interface OracleWindow {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  /** In the order in which they came. */
  readonly values: readonly number[];
  /** The latest. */
  readonly time: number;
  /** The first T at which it is closed. */
  readonly closesAt: number;
}

/** All windows that are ever told. */
export function oracleWindows(spec: WindowSpec, arrivals: readonly Arrival[]): OracleWindow[] {
  switch (spec.kind) {
    case 'tumbling':
      return fixedWindows(spec.sizeMs, spec.sizeMs, spec.graceMs, arrivals);
    case 'hopping':
      return fixedWindows(spec.sizeMs, spec.everyMs, spec.graceMs, arrivals);
    case 'sliding':
      return slidingWindows(spec.sizeMs, spec.graceMs, arrivals);
    case 'session':
      return sessionWindows(spec.gapMs, spec.graceMs, arrivals).windows;
  }
}

/** Records that count nowhere. */
export function oracleLate(spec: WindowSpec, arrivals: readonly Arrival[]): Arrival[] {
  switch (spec.kind) {
    case 'tumbling':
    case 'hopping': {
      const everyMs = spec.kind === 'tumbling' ? spec.sizeMs : spec.everyMs;
      return arrivals.filter(({ time, watermark }) => {
        const last = Math.floor(time / everyMs) * everyMs;
        return last + spec.sizeMs > time && last + spec.sizeMs + spec.graceMs <= watermark;
      });
    }
    case 'sliding':
      return arrivals.filter(
        ({ time, watermark }) => time + spec.sizeMs + spec.graceMs < watermark,
      );
    case 'session':
      return sessionWindows(spec.gapMs, spec.graceMs, arrivals).late;
  }
}

function windowOf(
  key: string,
  start: number,
  end: number,
  closesAt: number,
  inside: readonly Arrival[],
): OracleWindow {
  return {
    key,
    start,
    end,
    values: inside.map(({ value }) => value),
    time: Math.max(...inside.map(({ time }) => time)),
    closesAt,
  };
}

function keysOf(arrivals: readonly Arrival[]): string[] {
  return [...new Set(arrivals.map(({ key }) => key))];
}

function fixedWindows(
  sizeMs: number,
  everyMs: number,
  graceMs: number,
  arrivals: readonly Arrival[],
): OracleWindow[] {
  const starts = new Set<number>();
  for (const { time } of arrivals)
    for (let start = Math.floor(time / everyMs) * everyMs; start > time - sizeMs; start -= everyMs)
      starts.add(start);
  return keysOf(arrivals).flatMap((key) =>
    [...starts].flatMap((start) => {
      const end = start + sizeMs;
      const inside = arrivals.filter(
        (record) =>
          record.key === key &&
          record.time >= start &&
          record.time < end &&
          record.watermark < end + graceMs,
      );
      return inside.length === 0 ? [] : [windowOf(key, start, end, end + graceMs, inside)];
    }),
  );
}

function slidingWindows(
  sizeMs: number,
  graceMs: number,
  arrivals: readonly Arrival[],
): OracleWindow[] {
  return keysOf(arrivals).flatMap((key) => {
    const accepted = arrivals.filter(
      (record) => record.key === key && record.time + sizeMs + graceMs >= record.watermark,
    );
    const starts = new Set(accepted.flatMap(({ time }) => [time - sizeMs, time + 1]));
    return [...starts].flatMap((start) => {
      const end = start + sizeMs;
      const before = accepted.filter(({ watermark }) => watermark <= end + graceMs);
      const inside = before.filter(({ time }) => time >= start && time <= end);
      const isLeft = inside.some(({ time }) => time === end);
      const isRight = inside.length > 0 && before.some(({ time }) => time === start - 1);
      return isLeft || isRight ? [windowOf(key, start, end, end + graceMs + 1, inside)] : [];
    });
  });
}

interface Session {
  readonly key: string;
  readonly records: readonly Arrival[];
}

/** Sessions grow record by record: whether one is open depends on what it has taken in so far. */
function sessionWindows(
  gapMs: number,
  graceMs: number,
  arrivals: readonly Arrival[],
): { readonly windows: OracleWindow[]; readonly late: Arrival[] } {
  let sessions: Session[] = [];
  const late: Arrival[] = [];
  for (const record of arrivals) {
    const isOpen = (end: number): boolean => end + gapMs + graceMs >= record.watermark;
    const touched = sessions.filter(
      ({ key, records }) =>
        key === record.key &&
        records.some(({ time }) => Math.abs(time - record.time) <= gapMs) &&
        isOpen(Math.max(...records.map(({ time }) => time))),
    );
    if (touched.length === 0 && !isOpen(record.time)) {
      late.push(record);
      continue;
    }
    const joined = touched.flatMap(({ records }) => records);
    sessions = sessions.filter((session) => !touched.includes(session));
    sessions.push({ key: record.key, records: [...joined, record] });
  }
  const windows = sessions.map(({ key, records }) => {
    const times = records.map(({ time }) => time);
    const end = Math.max(...times);
    return windowOf(key, Math.min(...times), end, end + gapMs + graceMs + 1, records);
  });
  return { windows, late };
}
