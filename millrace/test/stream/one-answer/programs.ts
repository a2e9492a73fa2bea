/** Programs that give one answer however they are run, what they read, and what counts of what they write. */
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import { partitionOf } from '../../../src/core/murmur2.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import { pattern } from '../../../src/flow/pattern-builder.ts';
import { hopping, session, sliding, tumbling } from '../../../src/flow/window-specs.ts';
import type { BoundedRecord } from '../bounded-in-memory.ts';

export interface Event {
  readonly user: string;
  readonly n: number;
}

export interface Program {
  /** `table`: the last value of each key counts; `all`: every record does. */
  readonly results: 'all' | 'table';
  readonly build: (f: FlowBuilder) => void;
}

export const SOURCES = ['clicks', 'views', 'users'] as const;
export const OUT_OF_ORDER = 9;
/** So much behind everything else everything has closed. */
export const END = 10_000;
export const END_USER = 'end';

/** @param prefix of the names of the topics */
export function programs(prefix = ''): Readonly<Record<string, Program>> {
  const time = { outOfOrder: OUT_OF_ORDER };
  const clicks = topic(`${prefix}clicks`, { key: json<string>(), value: json<Event>(), time });
  const views = topic(`${prefix}views`, { key: json<string>(), value: json<Event>(), time });
  const users = topic(`${prefix}users`, { key: json<string>(), value: json<Event | null>(), time });
  const out = topic(`${prefix}out`, { key: json(), value: json() });
  return {
    'tumbling sums': {
      results: 'all',
      build: (f) => {
        f.read(clicks)
          .keyBy((click) => click.user)
          .window(tumbling(10))
          .aggregate('sums', {
            init: () => 0,
            add: (sum, click) => sum + click.n,
            merge: (a, b) => a + b,
          })
          .write(out);
      },
    },
    'hopping counts': {
      results: 'all',
      build: (f) => {
        f.read(clicks)
          .keyBy((click) => click.n)
          .window(hopping(12, { every: 4 }))
          .count('counts')
          .write(out);
      },
    },
    'sliding counts': {
      results: 'all',
      build: (f) => {
        f.readKeyed(clicks).window(sliding(6)).count('counts').write(out);
      },
    },
    sessions: {
      results: 'all',
      build: (f) => {
        f.read(clicks)
          .keyBy((click) => click.user)
          .window(session(4))
          .count('sessions')
          .write(out);
      },
    },
    'counts of all': {
      results: 'table',
      build: (f) => {
        f.read(clicks)
          .union(f.read(views))
          .keyBy((event) => event.n)
          .count('counts')
          .write(out);
      },
    },
    'clicks and views within a time': {
      results: 'all',
      build: (f) => {
        f.readKeyed(clicks)
          .leftJoin('both', f.readKeyed(views), (click, view) => [click.n, view?.n ?? null], {
            before: 5,
            after: 8,
          })
          .write(out);
      },
    },
    'tables that meet': {
      results: 'table',
      build: (f) => {
        const left = f.table(users);
        const right = f.readKeyed(clicks).count('clicks');
        left
          .outerJoin('joined', right, (user, count) => [user?.n ?? null, count ?? null])
          .write(out);
      },
    },
    'a table by another key': {
      results: 'table',
      build: (f) => {
        f.table(users)
          .groupBy((user) => user.n)
          .aggregate('groups', {
            init: () => 0,
            add: (sum) => sum + 1,
            subtract: (sum) => sum - 1,
          })
          .write(out);
      },
    },
    'a table that names keys of another': {
      results: 'table',
      build: (f) => {
        f.table(users)
          .leftJoinForeign(
            'named',
            f.table(views),
            (user) => 'abcd'[user.n % 5],
            (user, view) => [user.n, view?.n ?? null],
          )
          .write(out);
      },
    },
    'duplicates within a time': {
      results: 'all',
      build: (f) => {
        f.read(clicks)
          .dedupe('once', (click) => `${click.user}${click.n}`, END * 2)
          .map((click) => click.user)
          .write(out);
      },
    },
    'the first of those that are near': {
      results: 'all',
      build: (f) => {
        f.readKeyed(clicks)
          .dedupe('near', (click) => click.n % 2, 6)
          .write(out);
      },
    },
    'a pattern': {
      results: 'all',
      build: (f) => {
        f.readKeyed(clicks)
          .match(
            'rises',
            pattern('low', (click: Event) => click.n < 3)
              .followedBy('high', (click) => click.n > 6)
              .within(20),
            ({ low, high }) => [low[0]?.n, high[0]?.n],
          )
          .write(out);
      },
    },
  };
}

/** What is to be sent: later by `step` than the one before it in its place, and back by `back`. */
export interface RawEvent {
  readonly topic: (typeof SOURCES)[number];
  readonly user: string;
  readonly n: number;
  readonly deletes: boolean;
  readonly step: number;
  /** At most OUT_OF_ORDER. */
  readonly back: number;
}

/** Keys decide the partition as Kafka's producers do. */
export function recordsOf(
  raw: readonly RawEvent[],
  partitions: number,
): Record<(typeof SOURCES)[number], BoundedRecord[]> {
  const topics: Record<(typeof SOURCES)[number], BoundedRecord[]> = {
    clicks: [],
    views: [],
    users: [],
  };
  const latest = new Map<string, number>();
  const taken = new Set<string>();
  for (const { topic: name, user, n, deletes, step, back } of raw) {
    const partition = partitionOf(Buffer.from(JSON.stringify(user)), partitions);
    const place = `${name} ${partition}`;
    const now = (latest.get(place) ?? 0) + step;
    latest.set(place, now);
    // Tables are written in order: what overtakes another write is last in one place and not in the other.
    let at = name === 'users' ? now : Math.max(0, now - back);
    // Equal times have no order between topics, and patterns none within one.
    while (taken.has(`${user} ${at}`)) at++;
    taken.add(`${user} ${at}`);
    latest.set(place, Math.max(now, at));
    const value = name === 'users' && deletes ? null : { user, n };
    topics[name].push({ key: user, value, time: at, partition });
  }
  return topics;
}

/** What counts of the results, without the order in which they came. */
export function summed(
  results: readonly { readonly key: unknown; readonly value: unknown }[],
  kind: 'all' | 'table',
): string[] {
  const lines = results
    .map(({ key, value }) => [JSON.stringify(key ?? null), JSON.stringify(value ?? null)] as const)
    .filter(([key, value]) => !`${key} ${value}`.includes(END_USER) && !/^-1$|-1[,\]]/.test(key));
  if (kind === 'all') return lines.map(([key, value]) => `${key} ${value}`).toSorted(compare);
  const last = new Map(lines);
  return [...last]
    .filter(([, value]) => value !== 'null')
    .map(([key, value]) => `${key} ${value}`)
    .toSorted(compare);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
