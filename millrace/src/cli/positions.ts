/** Places in a log as people write them: `beginning`, `end`, an offset, a time, an age. */
import type { Clock } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';

export type Position =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly timeMs: number };

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * @param text `beginning`, `end`, an offset (`42`), a time (`2026-01-31T12:00:00Z`, or milliseconds as `@1769860800000`), or an
 *   age (`-90s`, `-15m`, `-2h`, `-7d`)
 * @throws {MillraceError} ML_USAGE
 */
export function parsePosition(option: string, text: string, clock: Clock): Position {
  if (text === 'beginning' || text === 'end') return { kind: text };
  if (/^\d{1,16}$/.test(text)) return { kind: 'offset', offset: Number(text) };
  const age = /^-(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (age !== null) {
    return { kind: 'time', timeMs: clock.nowMs() - Number(age[1]) * (UNIT_MS[age[2] ?? ''] ?? 0) };
  }
  const exact = /^@(\d{1,15})$/.exec(text);
  if (exact !== null) return { kind: 'time', timeMs: Number(exact[1]) };
  const parsed = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(parsed)) return { kind: 'time', timeMs: parsed };
  throw new MillraceError('ML_USAGE', `${option} does not understand '${text}'`, {
    hint: 'Write beginning, end, an offset (42), a time (2026-01-31T12:00:00Z, @1769860800000) or an age (-15m)',
  });
}

/** The timestamp that ListOffsets takes for a time: below 0 it would mean something else. Source: KIP-79. */
export function listOffsetsTimestamp(position: Extract<Position, { kind: 'time' }>): number {
  return Math.max(0, position.timeMs);
}
