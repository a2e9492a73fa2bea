/** What a record of a changelog says about the row of its view. */
import { decodeValue } from '../../../core/value-codec.ts';
import type { ViewChange } from './view-row.ts';
import type { ViewSpec } from './view-spec.ts';

/** @param bytes undefined: the entry was deleted @returns undefined: nothing that a view shows has changed */
export function changeOf(
  { kind, rows }: ViewSpec,
  key: unknown,
  sub: number,
  bytes: Buffer | undefined,
): ViewChange | undefined {
  const value = bytes === undefined ? undefined : decodeValue(bytes, 0, bytes.length);
  const row = value === undefined || rows.by !== 'entry' ? undefined : rows.row(key, sub, value);
  if (row !== undefined) return row;
  switch (kind) {
    case 'table':
      return { key, value: undefined };
    case 'history':
      // What is forgotten was not the latest; what is not the latest any more is followed by what is.
      return isDeletion(value) ? { key, value: undefined, time: sub } : undefined;
    case 'window':
    case 'session':
      return { key, start: sub, value: undefined };
  }
}

function isDeletion(version: unknown): boolean {
  if (version === undefined) return false;
  const [value, until] = version as readonly [unknown, number];
  return value === null && until === Number.POSITIVE_INFINITY;
}
