/**
 * Ids of webhooks that were taken, so that none is written twice: the latest of them, in memory. They are keys of the records that were
 * written, and are read from there at the start; so what is remembered is what is on the disk.
 */
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import type { Log, RecordHeader } from '../../client/log.ts';
import { CONSUME_WAIT_MS } from '../../core/limits.ts';

export class WebhookIds {
  readonly #idsMax: number;
  /** In the order in which they came. */
  readonly #ids = new Set<string>();

  constructor(idsMax: number) {
    this.#idsMax = idsMax;
  }

  get size(): number {
    return this.#ids.size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size <= this.#idsMax) return;
    const [oldest] = this.#ids;
    if (oldest !== undefined) this.#ids.delete(oldest);
  }

  /** The keys of those of the last records of a topic that `isOwn` finds by their headers; the topic exists. */
  async load(
    log: Log,
    topic: string,
    partitions: number,
    isOwn: (headers: readonly RecordHeader[]) => boolean,
  ): Promise<void> {
    const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const [begins, ends] = await Promise.all([
      log.offsets(places, 'beginning'),
      log.offsets(places, 'stable'),
    ]);
    const each = Math.ceil(this.#idsMax / partitions);
    const left = new Map<number, number>();
    const positions = places.map((place, index) => {
      const end = ends[index] ?? 0;
      const offset = Math.max(begins[index] ?? 0, end - each);
      if (offset < end) left.set(place.partition, end);
      return { ...place, offset };
    });
    const reader = log.reader({ uncommitted: false });
    try {
      reader.assign(positions.filter(({ partition }) => left.has(partition)));
      while (left.size > 0)
        for (const records of await reader.poll(CONSUME_WAIT_MS)) {
          for (const batch of visibleBatches(records))
            while (batch.next())
              if (batch.offset >= records.from && batch.keyStart >= 0 && isOwn(batch.headers()))
                this.add(batch.data.toString('utf8', batch.keyStart, batch.keyEnd));
          if (records.next >= (left.get(records.partition) ?? 0)) left.delete(records.partition);
        }
    } finally {
      reader.close();
    }
  }
}
