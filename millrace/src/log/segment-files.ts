/** Names of the files of a log. Kafka's: 20 digits of the base offset, and a suffix for what the file is. */

export const LOG_SUFFIX = '.log';
export const INDEX_SUFFIX = '.index';
export const TIME_INDEX_SUFFIX = '.timeindex';
export const TRANSACTION_INDEX_SUFFIX = '.txnindex';
/** Output of a compaction that is not finished: removed at start. */
export const CLEANED_SUFFIX = '.cleaned';
/** Finished output of a compaction that is being put in place: put in place at start. */
export const SWAP_SUFFIX = '.swap';
/** Out of use, to be removed. */
export const DELETED_SUFFIX = '.deleted';

const OFFSET_DIGITS = 20;

/** Path without suffix of the files of one segment. */
export function segmentPath(directory: string, baseOffset: number): string {
  return `${directory}/${String(baseOffset).padStart(OFFSET_DIGITS, '0')}`;
}

/** The base offset that a `.log` file name says; undefined when it is not the name of a segment. */
export function segmentBaseOffset(name: string): number | undefined {
  if (name.length !== OFFSET_DIGITS + LOG_SUFFIX.length || !name.endsWith(LOG_SUFFIX))
    return undefined;
  const digits = name.slice(0, OFFSET_DIGITS);
  if (!/^\d+$/.test(digits)) return undefined;
  const offset = Number(digits);
  return Number.isSafeInteger(offset) ? offset : undefined;
}
