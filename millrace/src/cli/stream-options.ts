/** What `millrace run`, `plan` and `reset` were asked about topics: from where, up to where, how. Pure. */
import type { Clock } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { PARTITIONS_MAX } from '../core/limits.ts';
import { STREAM_COMMIT_INTERVAL_MS_MAX, STREAM_WORKERS_MAX } from '../core/stream-limits.ts';
import { DURATION_FORMS, millisecondsOf } from '../flow/durations.ts';
import type { Plan } from '../flow/plan.ts';
import type { Until } from '../flow/source.ts';
import { listOffsetsTimestamp, parsePosition } from './positions.ts';
import { type RunFlags, within } from './run-options.ts';
import { parseAddress } from './start-options.ts';

const PORT_MAX = 65_535;

/** Where a flow begins to read, or begins anew. */
export type Begin = 'beginning' | 'latest' | { readonly timestamp: number };

export interface StreamOptions {
  readonly workers: number;
  readonly partitions: number | undefined;
  readonly commitIntervalMs: number | undefined;
  readonly from: Begin;
  readonly state: 'disk' | 'memory';
  /** Where Kafka clients reach the log of this process; undefined: nowhere. */
  readonly kafka: { readonly host: string; readonly port: number } | undefined;
  /** Where the views of the flow are served; undefined: nowhere. */
  readonly http:
    | { readonly host: string; readonly port: number; readonly insecure: boolean }
    | undefined;
}

/** Options that only a run without end has, and those that only one with an end has. */
const ENDLESS = ['commitInterval', 'from', 'state', 'kafka', 'http'] as const;
const BOUNDED = ['memory', 'splitSize', 'overwrite'] as const;

/** Of a flow that reads topics, without `--until`. @throws {MillraceError} ML_USAGE, ML_CONFIG_INVALID */
export function parseStream(flags: RunFlags, clock: Clock): StreamOptions {
  for (const name of BOUNDED) {
    // Who watches passes it on to whatever the program is.
    if (flags[name] === undefined || (name === 'overwrite' && flags.watched === true)) continue;
    throw new MillraceError(
      'ML_USAGE',
      `${optionName(name)} is for runs that have an end, and this flow reads topics, which have none`,
      { hint: `Leave it out, or run the flow up to what is there now: --until now` },
    );
  }
  const state = flags.state ?? 'disk';
  if (state !== 'disk' && state !== 'memory')
    throw new MillraceError('ML_USAGE', `--state is disk or memory, not '${state}'`);
  return {
    workers: within('--workers', flags.workers, 0, STREAM_WORKERS_MAX) ?? 0,
    partitions: within('--partitions', flags.partitions, 1, PARTITIONS_MAX),
    commitIntervalMs: parseInterval(flags.commitInterval),
    from: parseBegin('--from', flags.from ?? 'beginning', clock),
    state,
    kafka: parseKafka(flags),
    http: parseHttp(flags),
  };
}

/** Of a run that has an end. @throws {MillraceError} ML_USAGE */
export function checkBounded(flags: RunFlags, plan: Plan, readsTopics: boolean): void {
  if (flags.until !== undefined && !readsTopics)
    throw new MillraceError(
      'ML_USAGE',
      `flow '${plan.name}' reads no topics: it ends by itself, and --until says nothing to it`,
      { hint: 'Leave out --until' },
    );
  for (const name of ENDLESS) {
    if (flags[name] === undefined) continue;
    const why = readsTopics ? 'and --until gives this one an end' : 'and this flow reads no topics';
    throw new MillraceError('ML_USAGE', `${optionName(name)} is for runs without end, ${why}`, {
      hint: `Leave out ${optionName(name)}`,
    });
  }
}

/**
 * `now`; a time or an age, as `--from` takes them; or offsets: `topic:partition=offset`, several of them with commas between.
 * @throws {MillraceError} ML_USAGE
 */
export function parseUntil(text: string, clock: Clock): Until {
  if (text === 'now') return { kind: 'now' };
  if (/^[A-Za-z0-9._-]+:\d+=/.test(text)) return { kind: 'offsets', offsets: parseOffsets(text) };
  try {
    const position = parsePosition('--until', text, clock);
    if (position.kind === 'time') return { kind: 'time', ms: listOffsetsTimestamp(position) };
  } catch (error) {
    if (!(error instanceof MillraceError && error.code === 'ML_USAGE')) throw error;
  }
  throw new MillraceError('ML_USAGE', `--until does not understand '${text}'`, {
    hint: 'Write now, a time (2026-01-31T12:00:00Z, @1769860800000), an age (-15m), or offsets (orders:0=1200,orders:1=980)',
  });
}

/** @throws {MillraceError} ML_USAGE when it names a topic that the flow does not read */
export function checkUntil(until: Until, topics: readonly string[]): void {
  if (until.kind !== 'offsets') return;
  for (const name of Object.keys(until.offsets))
    if (!topics.includes(name))
      throw new MillraceError(
        'ML_USAGE',
        `--until names topic ${name}, which the flow does not read`,
        {
          hint: `It reads ${topics.join(', ')}`,
        },
      );
}

/** `beginning`, `latest`, a time or an age. @throws {MillraceError} ML_USAGE */
export function parseBegin(option: string, text: string, clock: Clock): Begin {
  if (text === 'latest' || text === 'end') return 'latest';
  if (text === 'beginning') return 'beginning';
  try {
    const position = parsePosition(option, text, clock);
    if (position.kind === 'time') return { timestamp: listOffsetsTimestamp(position) };
  } catch (error) {
    if (!(error instanceof MillraceError && error.code === 'ML_USAGE')) throw error;
  }
  throw new MillraceError('ML_USAGE', `${option} does not understand '${text}'`, {
    hint: 'Write beginning, latest, a time (2026-01-31T12:00:00Z, @1769860800000) or an age (-15m)',
  });
}

function parseOffsets(text: string): Record<string, Record<number, number>> {
  const offsets: Record<string, Record<number, number>> = {};
  for (const each of text.split(',')) {
    const [, topic, partition, offset] =
      /^([A-Za-z0-9._-]+):(\d{1,5})=(\d{1,15})$/.exec(each.trim()) ?? [];
    if (topic === undefined || partition === undefined || offset === undefined)
      throw new MillraceError('ML_USAGE', `--until does not understand '${each.trim()}'`, {
        hint: 'Write topic:partition=offset, for example orders:0=1200,orders:1=980',
      });
    (offsets[topic] ??= {})[Number(partition)] = Number(offset);
  }
  return offsets;
}

function parseInterval(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) : millisecondsOf(text);
  if (ms !== undefined && ms >= 1 && ms <= STREAM_COMMIT_INTERVAL_MS_MAX) return ms;
  throw new MillraceError(
    'ML_USAGE',
    `--commit-interval takes 1 ms to ${STREAM_COMMIT_INTERVAL_MS_MAX / 1000} s, not '${text}'`,
    { hint: `Write ${DURATION_FORMS.replace('a number', 'a whole number')}` },
  );
}

function parseKafka({ kafka, brokers }: RunFlags): StreamOptions['kafka'] {
  if (kafka === undefined) return undefined;
  if (brokers !== undefined)
    throw new MillraceError(
      'ML_USAGE',
      '--kafka opens a port to the log of this process, and --brokers names another log',
      { hint: 'Leave out one of them' },
    );
  return parseAddress(kafka);
}

function parseHttp({ http, insecure = false }: RunFlags): StreamOptions['http'] {
  if (http === undefined) return undefined;
  const [, host = '127.0.0.1', digits = ''] = /^(?:\[?([^\s\]]+)\]?:)?(\d{1,5})$/.exec(http) ?? [];
  const port = Number(digits);
  if (digits !== '' && port <= PORT_MAX) return { host, port, insecure };
  throw new MillraceError('ML_USAGE', `--http takes a port, or host:port, not '${http}'`, {
    hint: 'Write for example --http 8080',
  });
}

function optionName(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
