/**
 * Producer ids: unique for the life of the data directory, taken from blocks whose end is durable before the first of them is
 * given out, so that no id is given twice whatever happens in between. Source: KIP-98, KIP-730.
 */
import { MillraceError } from '../../core/errors.ts';
import type { MetadataLog } from '../metadata-log.ts';

const KEY = 'producer-ids';
/** NOTE: persistent format. */
const VERSION = 1;
const BLOCK_IDS = 1000;

export class ProducerIds {
  private readonly metadata: MetadataLog;
  private next: number;
  private end: number;
  private growing: Promise<void> | undefined;

  constructor(metadata: MetadataLog) {
    this.metadata = metadata;
    const stored = metadata.get(KEY);
    // What was left of the last block is not used: it is not known how much of it was given out.
    this.next = stored === undefined ? 0 : parseEnd(stored);
    this.end = this.next;
  }

  /** @throws {MillraceError} ML_DISK_FULL (retriable), ML_LOG_FAILED */
  async take(): Promise<number> {
    while (this.next >= this.end) {
      this.growing ??= this.grow().finally(() => {
        this.growing = undefined;
      });
      await this.growing;
    }
    return this.next++;
  }

  private async grow(): Promise<void> {
    const end = this.end + BLOCK_IDS;
    await this.metadata.put(KEY, JSON.stringify({ version: VERSION, end }));
    this.end = end;
  }
}

function parseEnd(text: string): number {
  const { version, end } = JSON.parse(text) as {
    readonly version?: unknown;
    readonly end?: unknown;
  };
  if (version !== VERSION || typeof end !== 'number' || !Number.isSafeInteger(end)) {
    throw new MillraceError(
      'ML_STATE_DAMAGED',
      `the stored producer id block is not readable: ${text}`,
    );
  }
  return end;
}
