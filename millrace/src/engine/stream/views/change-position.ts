/**
 * How far a subscriber has got, as text: the offset of each partition of the changelog. The first part is of the changelog's id, because
 * offsets of a topic that was deleted and made anew are others.
 *
 *   <8 characters>.<offset>.<offset>…       base 36
 */
import { MillraceError } from '../../../core/errors.ts';

const TAG_CHARS = 8;
const TEXT = /^[A-Za-z0-9_-]{8}(?:\.[0-9a-z]{1,11})+$/;

/** @param topicId of the changelog */
export function encodePosition(topicId: string, offsets: readonly number[]): string {
  const tag = topicId.slice(0, TAG_CHARS).padEnd(TAG_CHARS, '-');
  return [tag, ...offsets.map((offset) => offset.toString(36))].join('.');
}

/**
 * @returns undefined: it is a position in another topic, or in other partitions
 * @throws {MillraceError} ML_VIEW_REQUEST: it is none
 */
export function decodePosition(
  text: string,
  topicId: string,
  partitions: number,
): number[] | undefined {
  if (!TEXT.test(text))
    throw new MillraceError('ML_VIEW_REQUEST', 'the id of the last event is none that was sent', {
      hint: 'Send Last-Event-ID as it came, or leave it out to begin with a snapshot',
    });
  const [tag, ...parts] = text.split('.');
  const offsets = parts.map((part) => Number.parseInt(part, 36));
  const isKnown = tag === topicId.slice(0, TAG_CHARS).padEnd(TAG_CHARS, '-');
  return isKnown && offsets.length === partitions && offsets.every(Number.isSafeInteger)
    ? offsets
    : undefined;
}
