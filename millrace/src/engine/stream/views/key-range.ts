/** Ranges of keys, as the orders that stores go by. */
import { MillraceError } from '../../../core/errors.ts';
import { orderBehind, orderOf, orderOfPrefix } from '../state/entry-key.ts';

/** Which keys. Without anything: all of them. */
export interface KeySelection {
  /** Only this one. */
  readonly key?: unknown;
  /** From this one on. */
  readonly from?: unknown;
  /** Up to this one, which is not among them. */
  readonly to?: unknown;
  /** Text: keys that begin with it. An array: keys that are arrays and begin with its elements. */
  readonly prefix?: unknown;
}

/** from <= order < to; undefined: no bound. */
export interface OrderRange {
  readonly from: string;
  readonly to: string | undefined;
}

/** @throws {MillraceError} ML_KEY_INVALID; ML_VIEW_REQUEST when it says two things at once */
export function orderRange(selection: KeySelection): OrderRange {
  const { from, to, prefix } = selection;
  const hasKey = 'key' in selection;
  if (
    Number(hasKey) + Number(prefix !== undefined) + Number(from !== undefined || to !== undefined) >
    1
  )
    throw new MillraceError(
      'ML_VIEW_REQUEST',
      'a key, a prefix, and from and to, each say which keys are wanted: only one of them can',
    );
  if (hasKey) {
    const order = orderOf(selection.key);
    return { from: order, to: `${order}\0` };
  }
  if (prefix !== undefined) return prefixRange(prefix);
  return {
    from: from === undefined ? '' : orderOf(from),
    to: to === undefined ? undefined : orderOf(to),
  };
}

function prefixRange(prefix: unknown): OrderRange {
  if (typeof prefix !== 'string' && !Array.isArray(prefix))
    throw new MillraceError('ML_VIEW_REQUEST', 'a prefix is text, or an array');
  // Text inside of an array, which keys of entries are, ends in a zero.
  const order = typeof prefix === 'string' ? orderOf(prefix).slice(0, -1) : orderOfPrefix(prefix);
  return { from: order, to: orderBehind(order) };
}

export function isWithin(range: OrderRange, order: string): boolean {
  return order >= range.from && (range.to === undefined || order < range.to);
}
