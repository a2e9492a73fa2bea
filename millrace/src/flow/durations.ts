/** Lengths of time as programs write them: a number of milliseconds, or a text such as `5s` and `10 minutes`. */
import { MillraceError } from '../core/errors.ts';
import { DURATION_MS_MAX } from '../core/limits.ts';

type Unit =
  | 'ms'
  | 'millisecond'
  | 'milliseconds'
  | 's'
  | 'second'
  | 'seconds'
  | 'm'
  | 'min'
  | 'minute'
  | 'minutes'
  | 'h'
  | 'hour'
  | 'hours'
  | 'd'
  | 'day'
  | 'days'
  | 'w'
  | 'week'
  | 'weeks';

/**
 * A length of time: a number of milliseconds, or a number and a unit: `'100ms'`, `'5s'`, `'1 minute'`, `'1.5h'`, `'2 days'`. Whole
 * milliseconds, at most 100 years. For a text that only the run knows there is `duration`.
 */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;

const UNITS: Readonly<Record<Unit, number>> = {
  ms: 1,
  millisecond: 1,
  milliseconds: 1,
  s: SECOND,
  second: SECOND,
  seconds: SECOND,
  m: MINUTE,
  min: MINUTE,
  minute: MINUTE,
  minutes: MINUTE,
  h: HOUR,
  hour: HOUR,
  hours: HOUR,
  d: DAY,
  day: DAY,
  days: DAY,
  w: WEEK,
  week: WEEK,
  weeks: WEEK,
};

const TEXT = /^(\d+(?:\.\d+)?) ?([a-z]+)$/;

/** What a length of time may look like, as the end of a sentence. */
export const DURATION_FORMS =
  "a number of milliseconds, or a text like '100ms', '5s', '1 minute', '2 hours' or '7 days'";

/** The milliseconds that a program wrote; undefined for what is no length of time. */
export function millisecondsOf(given: unknown): number | undefined {
  const ms = typeof given === 'string' ? parse(given) : given;
  if (typeof ms !== 'number' || !Number.isInteger(ms)) return undefined;
  return ms >= 0 && ms <= DURATION_MS_MAX ? ms : undefined;
}

function parse(text: string): number | undefined {
  const [, amount, unit] = TEXT.exec(text) ?? [];
  if (amount === undefined || unit === undefined || !isUnit(unit)) return undefined;
  const ms = Number(amount) * UNITS[unit];
  // 0.07 seconds are 70 ms, whatever binary fractions make of it.
  const whole = Math.round(ms);
  return Math.abs(ms - whole) < 1e-6 ? whole : ms;
}

function isUnit(text: string): text is Unit {
  return Object.hasOwn(UNITS, text);
}

/**
 * The milliseconds of a text that the compiler cannot check, such as a parameter.
 * @throws {MillraceError} ML_FLOW_INVALID for what is no length of time
 * @example
 * const size = duration(f.param('window', '1 minute'));
 * hits.keyBy((hit) => hit.path).window(tumbling(size)).count('hits').write(topic('hits-per-minute'));
 */
export function duration(text: string): number {
  const ms = millisecondsOf(text);
  if (ms !== undefined) return ms;
  throw new MillraceError('ML_FLOW_INVALID', `${JSON.stringify(text)} is no length of time`, {
    hint: `It must be ${DURATION_FORMS}`,
  });
}

const WORDS: readonly (readonly [ms: number, word: string])[] = [
  [DAY, 'day'],
  [HOUR, 'hour'],
  [MINUTE, 'minute'],
  [SECOND, 'second'],
  [1, 'ms'],
];

/** The same for people: `90000` is `90 seconds`, `60000` is `1 minute`. */
export function durationText(ms: number): string {
  if (ms === 0) return '0';
  const [size, word] = WORDS.find(([unit]) => ms % unit === 0) ?? [1, 'ms'];
  const amount = ms / size;
  return `${amount} ${word}${word === 'ms' || amount === 1 ? '' : 's'}`;
}
