/** What readers of committed records see in a topic. */
import { crc32c } from '@node-rs/crc32';
import { type Content, emptyContent, forEachValue } from '../clients/record-batch.ts';
import type { Address } from '../clients/receiving-socket.ts';
import { WireConnection } from '../clients/wire-connection.ts';
import { fetchRecords, listOffsets } from '../clients/wire-requests.ts';

/** NOTE: persistent format, do not renumber. */
const LENGTH_AT = 8;
const PREFIX_BYTES = 12;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const PRODUCER_AT = 43;
const TRANSACTIONAL = 0b1_0000;
const CONTROL = 0b10_0000;
/** Of a control record: version int16, type int16; 1 is a commit. */
const COMMIT = 1;

const FETCH_BYTES = 16 << 20;
const PARTITION_BYTES = 4 << 20;

export type Row = (value: Buffer, key: Buffer) => void;

/** Goes through the batches of one partition, and hands over the records of transactions when they have committed. */
export class CommittedRows {
  /** Next to fetch. */
  offset = 0;
  readonly #each: Row;
  readonly #open = new Map<bigint, [Buffer, Buffer][]>();

  constructor(each: Row) {
    this.#each = each;
  }

  take(records: Buffer): void {
    let at = 0;
    while (at + PREFIX_BYTES <= records.length) {
      const end = at + PREFIX_BYTES + records.readInt32BE(at + LENGTH_AT);
      if (end > records.length) break;
      const batch = records.subarray(at, end);
      if (this.#isNew(batch)) this.#takeBatch(batch);
      at = end;
    }
  }

  #isNew(batch: Buffer): boolean {
    const next = Number(batch.readBigInt64BE(0)) + batch.readInt32BE(LAST_OFFSET_DELTA_AT) + 1;
    if (next <= this.offset) return false;
    this.offset = next;
    return true;
  }

  #takeBatch(batch: Buffer): void {
    const attributes = batch.readInt16BE(ATTRIBUTES_AT);
    const producer = batch.readBigInt64BE(PRODUCER_AT);
    if ((attributes & CONTROL) !== 0) {
      const rows = this.#open.get(producer) ?? [];
      this.#open.delete(producer);
      forEachValue(batch, 0, (_value, key) => {
        if (key.readInt16BE(2) === COMMIT) for (const row of rows) this.#each(...row);
      });
      return;
    }
    if ((attributes & TRANSACTIONAL) === 0) {
      forEachValue(batch, 0, this.#each);
      return;
    }
    const rows = this.#open.get(producer) ?? [];
    this.#open.set(producer, rows);
    forEachValue(batch, 0, (value, key) => void rows.push([value, key]));
  }
}

/** Reads a topic to its end. */
export async function committedContent(
  address: Address,
  topic: { readonly name: string; readonly partitionCount: number },
): Promise<Content> {
  const content = emptyContent();
  const connection = await WireConnection.open(address);
  try {
    const ends = await listOffsets(connection, topic, 'end');
    for (const [partition, end] of ends.entries()) {
      const rows = new CommittedRows((value, key) => {
        content.recordCount++;
        content.valueBytes += value.length;
        content.checksum = (content.checksum + crc32c(value, crc32c(key))) >>> 0;
      });
      while (rows.offset < end) {
        const [fetched] = await fetchRecords(connection, {
          topic: topic.name,
          partitions: [{ partition, offset: rows.offset }],
          waitMs: 1000,
          minBytes: 1,
          maxBytes: FETCH_BYTES,
          partitionMaxBytes: PARTITION_BYTES,
          committed: true,
        });
        rows.take(fetched?.records ?? Buffer.alloc(0));
      }
    }
    return content;
  } finally {
    connection.close();
  }
}
