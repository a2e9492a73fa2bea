/** The windows that programs ask for: what `window` of a keyed stream takes. */
import { WINDOWS_OF_RECORD_MAX } from '../core/limits.ts';
import { flowError, type Operator } from './draft.ts';
import type { Duration } from './durations.ts';
import { durationOf } from './operator-builder.ts';
import type { WindowSpec } from './windows.ts';

export type TumblingWindow = Extract<WindowSpec, { kind: 'tumbling' }>;
export type HoppingWindow = Extract<WindowSpec, { kind: 'hopping' }>;
export type SlidingWindow = Extract<WindowSpec, { kind: 'sliding' }>;
export type SessionWindow = Extract<WindowSpec, { kind: 'session' }>;

export interface WindowOptions {
  /** A window stays open for so long after its end has passed, for records that come late. Default 0. */
  readonly grace?: Duration;
}
export interface HoppingOptions extends WindowOptions {
  /** How often a window begins: at most the size, and at least a 10,000th of it. */
  readonly every: Duration;
}

/**
 * Windows of equal size that follow one another: [0, size), [size, 2 * size), … from 1970 on, in UTC.
 * @throws {MillraceError} ML_FLOW_INVALID
 * @example hits.keyBy((hit) => hit.path).window(tumbling('1 minute', { grace: '10s' })).count('hits-per-minute')
 */
export function tumbling(size: Duration, options: WindowOptions = {}): TumblingWindow {
  const operator = operatorOf('tumbling');
  const sizeMs = durationOf(operator, 'the size', size, 1);
  return Object.freeze({ kind: 'tumbling', sizeMs, graceMs: graceOf(operator, options) });
}

/**
 * Windows of equal size that begin every so often: each record is in about size / every of them.
 * @throws {MillraceError} ML_FLOW_INVALID
 * @example bids.keyBy((bid) => bid.item).window(hopping('10s', { every: '2s' })).count('bids-of-10s')
 */
export function hopping(size: Duration, options: HoppingOptions): HoppingWindow {
  const operator = operatorOf('hopping');
  const sizeMs = durationOf(operator, 'the size', size, 1);
  const everyMs = durationOf(operator, '`every`', options.every, 1);
  if (everyMs > sizeMs) {
    throw flowError(
      operator,
      'windows would begin less often than they end: records would be lost',
    );
  }
  if (sizeMs / everyMs > WINDOWS_OF_RECORD_MAX) {
    throw flowError(
      operator,
      `each record would be in ${Math.ceil(sizeMs / everyMs)} windows, and ${WINDOWS_OF_RECORD_MAX} are possible`,
    );
  }
  return Object.freeze({ kind: 'hopping', sizeMs, everyMs, graceMs: graceOf(operator, options) });
}

/**
 * A window for each distinct set of records that are at most `size` apart; both its start and its end are times of records, or a size
 * from one, and belong to it.
 * Source: KIP-450.
 * @throws {MillraceError} ML_FLOW_INVALID
 * @example logins.keyBy((login) => login.user).window(sliding('5 minutes')).count('logins-of-5-minutes')
 */
export function sliding(size: Duration, options: WindowOptions = {}): SlidingWindow {
  const operator = operatorOf('sliding');
  const sizeMs = durationOf(operator, 'the size', size, 1);
  return Object.freeze({ kind: 'sliding', sizeMs, graceMs: graceOf(operator, options) });
}

/**
 * A window for each run of records whose gaps are at most `gap`: from the first of them to the last, both included. A late record may
 * join two sessions, so that aggregates over them need `merge`.
 * @throws {MillraceError} ML_FLOW_INVALID
 * @example logins.keyBy((login) => login.user).window(session('30 minutes')).count('logins-per-visit')
 */
export function session(gap: Duration, options: WindowOptions = {}): SessionWindow {
  const operator = operatorOf('session');
  const gapMs = durationOf(operator, 'the gap', gap, 1);
  return Object.freeze({ kind: 'session', gapMs, graceMs: graceOf(operator, options) });
}

function operatorOf(method: string): Operator {
  return { method, name: undefined, flow: undefined };
}

function graceOf(operator: Operator, options: WindowOptions): number {
  return durationOf(operator, 'the grace', options.grace ?? 0, 0);
}
