/** Which records an answer reflects. */
import type { TaskViewAnswer } from './http-peers.ts';

export interface AsOf {
  /** By `topic-partition` of what the tasks that were asked read: records before this offset are part of the answer. Where several pages were read,
   * it is what all of them have in common. */
  readonly partitions: Readonly<Record<string, number>>;
  /** Event time, milliseconds since 1970: what was to come before it has come. The lowest of the tasks; undefined: one has seen nothing. */
  readonly watermark: number | undefined;
  /** Wall clock, milliseconds since 1970: when what was committed last was. The earliest of the tasks; undefined: one has committed nothing
   * since it was opened, and shows what was committed before. */
  readonly committedAt: number | undefined;
}

/** Of several tasks together. */
export class Reflected {
  readonly #partitions = new Map<string, number>();
  #watermark = Number.POSITIVE_INFINITY;
  #committedAt: number | undefined = Number.POSITIVE_INFINITY;

  add({ reflects, page }: TaskViewAnswer): void {
    for (const { topic, partition, offset } of reflects) {
      const name = `${topic}-${partition}`;
      this.#partitions.set(name, Math.min(offset, this.#partitions.get(name) ?? offset));
    }
    this.#watermark = Math.min(this.#watermark, page.watermark);
    this.#committedAt =
      page.committedAt === undefined || this.#committedAt === undefined
        ? undefined
        : Math.min(this.#committedAt, page.committedAt);
  }

  get asOf(): AsOf {
    const committedAt = this.#committedAt;
    return {
      partitions: Object.fromEntries([...this.#partitions].sort(([a], [b]) => (a < b ? -1 : 1))),
      watermark: Number.isFinite(this.#watermark) ? this.#watermark : undefined,
      committedAt:
        committedAt !== undefined && Number.isFinite(committedAt) ? committedAt : undefined,
    };
  }
}
