/**
 * Metrics of StatsD, with what DogStatsD adds.
 *
 *   name:value|type[|@rate][|#tag:value,tag][|T<unix seconds>][|c:<container>]
 *
 *   c counter · ms timer · g gauge, with a sign a change of it · s set, of texts · h histogram · d distribution
 *
 * Several lines are one datagram; several values of one name, `name:1:2:3|ms`, are several metrics. Events (`_e{`) and service checks (`_sc|`)
 * are no metrics.
 *
 * Source: statsd/docs/metric_types.md of StatsD; the datagram format of DogStatsD, 1.0 to 1.4.
 */
import { STATSD_TEXT_CHARS_MAX } from '../../core/direct-limits.ts';

export interface StatsdMetric {
  readonly name: string;
  readonly type: 'counter' | 'timer' | 'gauge' | 'set' | 'histogram' | 'distribution';
  /** Text in a set. */
  readonly value: number | string;
  /** True: a gauge changes by the value. */
  readonly delta?: true;
  /** Which part of what happened was sent: above 0, up to 1. */
  readonly rate: number;
  /** A tag without a value is ''. */
  readonly tags: Readonly<Record<string, string>>;
  readonly container?: string;
  /** Milliseconds since 1970, where the sender says when it was. */
  readonly timestamp?: number;
}

const TYPES: Readonly<Partial<Record<string, StatsdMetric['type']>>> = Object.assign(
  Object.create(null) as Partial<Record<string, StatsdMetric['type']>>,
  { c: 'counter', ms: 'timer', g: 'gauge', s: 'set', h: 'histogram', d: 'distribution' },
);
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
/** Fields that newer versions have added: what they say does not change the metric. */
const UNKNOWN_FIELD = /^[a-z]+:/;
const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({});

export type LineResult = 'metrics' | 'malformed' | 'unsupported';

/** Hands the metrics of a line to `emit`: all of them, or none. The line has no line end, and is not empty. */
export function parseStatsdLine(line: string, emit: (metric: StatsdMetric) => void): LineResult {
  if (line.startsWith('_e{') || line.startsWith('_sc|')) return 'unsupported';
  const fields = line.split('|');
  const [head = '', typeText = ''] = fields;
  const type = TYPES[typeText];
  const colon = head.indexOf(':');
  if (type === undefined || colon < 1) return 'malformed';
  const name = head.slice(0, colon);
  if (!isText(name)) return 'malformed';
  const extras = parseExtras(fields);
  if (extras === undefined) return 'malformed';
  const rest = head.slice(colon + 1);
  const texts = type === 'set' ? [rest] : rest.split(':');
  const metrics: StatsdMetric[] = [];
  for (const text of texts) {
    const value = valueOf(type, text);
    if (value === undefined) return 'malformed';
    const isDelta = type === 'gauge' && (text.startsWith('+') || text.startsWith('-'));
    metrics.push(
      isDelta ? { name, type, value, delta: true, ...extras } : { name, type, value, ...extras },
    );
  }
  for (const metric of metrics) emit(metric);
  return 'metrics';
}

function valueOf(type: StatsdMetric['type'], text: string): number | string | undefined {
  if (type === 'set') return text !== '' && isText(text) ? text : undefined;
  if (!NUMBER.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

type Extras = Pick<StatsdMetric, 'rate' | 'tags' | 'container' | 'timestamp'>;

function parseExtras(fields: readonly string[]): Extras | undefined {
  let rate = 1;
  let tags = NO_TAGS;
  const more: { container?: string; timestamp?: number } = {};
  for (let index = 2; index < fields.length; index++) {
    const field = fields[index] ?? '';
    if (field.startsWith('@')) {
      rate = NUMBER.test(field.slice(1)) ? Number(field.slice(1)) : 0;
      if (!(rate > 0 && rate <= 1)) return undefined;
    } else if (field.startsWith('#')) {
      if (!isText(field)) return undefined;
      tags = tagsOf(field);
    } else if (field.startsWith('T')) {
      if (!/^T\d{1,11}$/.test(field)) return undefined;
      more.timestamp = Number(field.slice(1)) * 1000;
    } else if (field.startsWith('c:')) {
      if (!isText(field)) return undefined;
      more.container = field.slice(2);
    } else if (!UNKNOWN_FIELD.test(field)) return undefined;
  }
  return { rate, tags, ...more };
}

function tagsOf(field: string): Readonly<Record<string, string>> {
  // Without a prototype, so that any text can be a name.
  const tags = Object.create(null) as Record<string, string>;
  for (const tag of field.slice(1).split(',')) {
    if (tag === '') continue;
    const colon = tag.indexOf(':');
    if (colon < 0) tags[tag] = '';
    else tags[tag.slice(0, colon)] = tag.slice(colon + 1);
  }
  return tags;
}

function isText(text: string): boolean {
  return text.length <= STATSD_TEXT_CHARS_MAX && !CONTROL.test(text);
}

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;
